"""What every error of the service has."""

from typing import Any, ClassVar, NamedTuple


class PaidonceError(Exception):
    """An error that ends a request. ``code`` never changes. ``retryable``: the same call may succeed later."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error with its fields, without calling its constructor again."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PaidonceError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> PaidonceError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class FieldError(NamedTuple):
    """An error in one field: a JSON pointer or the name of a parameter, a code, and a sentence."""

    pointer: str
    code: str
    detail: str
