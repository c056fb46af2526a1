"""Forms: what a person sent, read into a struct, or shown again with what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from paidonce.errors import IdempotencyKeyReused, InvalidRequest, MalformedBody, PaidonceError
from paidonce.http.fields import Fields, read_form_fields
from paidonce.redaction import redact

CSRF_FIELD: Final = "csrfToken"
KEY_FIELD: Final = "idempotencyKey"
CREDENTIAL_FIELD: Final = "credentials."  # How the names of fields begin that hold a provider's credentials.
FIELDS_MAX: Final = 200
AUDITED_LENGTH_MAX: Final = 200  # Of a text, in characters. The log keeps what an action was, not all of what it wrote.
SENT_WITH_OTHER_VALUES: Final = "This form was sent before with other values. Check these, and send it again."

T = TypeVar("T", bound="Form")


class Form(Fields, frozen=True, kw_only=True):
    """The fields of a form, named in the page as in a body of the API: ``successUrl`` for ``success_url``. What a
    person leaves empty is absent. A field that is a list may be sent several times.

    The audit log keeps the fields that ``audited`` names, by their names in Python, and no other: some are secret.
    """

    audited: ClassVar[Sequence[str]] = ()

    @property
    def subject(self) -> str | None:
        """What it is done to, for the audit log, where its path does not tell it."""
        return None

    @property
    def kept_fields(self) -> dict[str, object]:
        """The fields that the audit log keeps, by their names in the page."""
        names = {one.name: one.encode_name for one in msgspec.structs.fields(self) if one.name in self.audited}
        return {shown: _audited(value) for name, shown in names.items() if (value := getattr(self, name)) is not None}


class EmptyForm(Form, frozen=True, kw_only=True):
    """A form that is only a button."""


class FormState(msgspec.Struct, frozen=True):
    """A form that was refused: the action it was sent to, its values, and what is wrong with each field and as a whole.

    The page that is shown again has it, with this HTTP status; in all others it is empty.
    """

    action: str = ""
    values: Mapping[str, str] = {}
    errors: Mapping[str, str] = {}
    message: str = ""
    status: int = 422

    def of(self, action: str) -> "FormState":
        """Return this where it was sent to this action, and else an empty form: a page may have several forms."""
        return self if self.action == action else NO_FORM


NO_FORM: Final = FormState()


class ReceivedForm(msgspec.Struct, frozen=True):
    """A form as it came: its CSRF token, its idempotency key, its own fields, and its files.

    ``credentials`` are those of a provider, by their names. They are never shown again.
    """

    csrf_token: str
    idempotency_key: str
    fields: Sequence[tuple[str, str]]
    files: Mapping[str, UploadFile]
    credentials: Mapping[str, str] = {}

    def read(self, kind: type[T]) -> T:
        """Read the fields; raises InvalidRequest with all that are wrong."""
        return read_form_fields(kind, self.fields)

    def refused(self, action: str, error: PaidonceError, status: int) -> FormState:
        """Return what is shown again where an action has refused the form. A password is not sent back."""
        values = {name: value for name, value in self.fields if "password" not in name.lower()}
        if isinstance(error, IdempotencyKeyReused):  # A person went back, changed something, and sent the form again.
            return FormState(action, values, {}, SENT_WITH_OTHER_VALUES, status)
        if not isinstance(error, InvalidRequest):
            return FormState(action, values, {}, error.detail, status)
        errors = {_field_of(one.pointer): one.detail for one in error.fields}
        values |= {f"{CREDENTIAL_FIELD}{name}": "" for name in self.credentials}
        unplaced = [detail for name, detail in errors.items() if name not in values]
        return FormState(action, values, errors, " ".join(unplaced) or error.detail)


async def receive_form(request: Request) -> ReceivedForm:
    """Read the form of a request; raises MalformedBody."""
    try:
        form = await request.form(max_files=1, max_fields=FIELDS_MAX)
    except MultiPartException as error:
        raise MalformedBody("The form cannot be read.") from error
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return ReceivedForm(
        csrf_token=_one(fields, CSRF_FIELD),
        idempotency_key=_one(fields, KEY_FIELD),
        fields=[
            (name, value)
            for name, value in fields
            if name not in (CSRF_FIELD, KEY_FIELD) and not name.startswith(CREDENTIAL_FIELD)
        ],
        files=_files(form),
        credentials={
            name.removeprefix(CREDENTIAL_FIELD): value
            for name, value in fields
            if name.startswith(CREDENTIAL_FIELD) and value
        },
    )


def _field_of(pointer: str) -> str:
    """Return the field of a form that a JSON pointer into the body of the API's call is about."""
    name, _, rest = pointer.removeprefix("/").partition("/")
    return f"{CREDENTIAL_FIELD}{rest}" if name == "credentials" and rest else name


def _files(form: FormData) -> dict[str, UploadFile]:
    return {name: value for name, value in form.multi_items() if isinstance(value, UploadFile) and value.filename}


def _audited(value: object) -> object:
    """Return what the audit log keeps of a field. It is recorded before the call refuses what nobody may store."""
    if isinstance(value, list):
        return [_audited(one) for one in value[:AUDITED_LENGTH_MAX]]
    return redact(value)[:AUDITED_LENGTH_MAX] if isinstance(value, str) else value


def _one(fields: Iterable[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in fields if name == wanted), "")
