"""One request: it is here as a whole before anybody sees it."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from paidonce.web.routing import Route

BODY_BYTES_MAX: Final = 64 * 1024


class Request:
    """A request as it was read: its ``path`` decoded, its ``raw_path`` and ``query`` as they were sent, its headers by
    lower-case name, one that came several times as a list with commas.

    Who serves it sets the rest: ``id`` names the exchange, ``routes`` is the table that it was found in, ``caller`` is
    who makes it, ``visit`` what a gate notes of it. ``client`` is the address at the other end, empty where none is
    known. ``gone`` waits until the client has gone, or has nothing more to say.
    """

    __slots__ = (
        "body",
        "caller",
        "client",
        "expects_invitation",
        "fields",
        "gone",
        "id",
        "is_last",
        "method",
        "path",
        "query",
        "raw_path",
        "routes",
        "scheme",
        "takes_chunks",
        "visit",
    )

    def __init__(self, method: str, raw_path: bytes, path: str, query: bytes, fields: dict[bytes, bytes]) -> None:
        self.method = method
        self.raw_path = raw_path
        self.path = path
        self.query = query
        self.fields = fields
        self.body = b""
        self.client = ""
        self.scheme = "http"
        self.is_last = False  # Its connection ends behind it.
        self.takes_chunks = True  # Not so in HTTP/1.0.
        self.expects_invitation = False  # Its client sends "Expect: 100-continue", and may wait with the body.
        self.id = ""
        self.routes: Sequence[Route] = ()
        self.gone: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.caller: object = None
        self.visit: object = None

    @property
    def base_url(self) -> str:
        """Where the client found the service: scheme and host."""
        return f"{self.scheme}://{self.header('host') or 'localhost'}"

    @property
    def headers(self) -> dict[str, str]:
        """All its headers, by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.fields.items()}

    def header(self, name: str) -> str | None:
        """Read a header by its lower-case name."""
        value = self.fields.get(name.encode())
        return None if value is None else value.decode("latin-1")

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Its query parameters, in their order, also those that are empty or come twice."""
        return parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)
