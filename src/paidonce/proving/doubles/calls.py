"""What a double declares about the calls of its provider's API, and what it answers."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from paidonce.clock import DAY_MS, Instant
from paidonce.providers.simulator.faults import Fault

Json: TypeAlias = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """A response of the API. A ``body`` of None is an empty one."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class ApiFailure(Exception):
    """The provider refuses a call, with this response."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.body}")
        self.reply = reply


class ApiCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the provider's API, before anything about it is known. Names of headers are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fingerprint(self) -> str:
        """What must be equal where an idempotency key is sent again."""
        return f"{self.method} {self.path}?{self.query} {self.body.decode(errors='replace')}"


class Books(Protocol):
    """The objects of a provider, and its ledger."""

    def as_json(self) -> Json:
        """Return the ledger's ``as_json``, and, for tests, the objects."""


BooksT_co = TypeVar("BooksT_co", bound=Books, covariant=True)


def _same(reply: Reply) -> Reply:
    return reply


class PreparedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is authenticated and whose parameters are valid. It has had no effect yet."""

    execute: Callable[[], Reply]
    """Has the effect; raises ApiFailure where the provider refuses."""
    params: Any = None
    """What ``Double.requests`` shows to tests."""
    key: str = ""
    """The idempotency key; empty where there is none."""
    key_lifetime_ms: int = DAY_MS
    key_stores_errors: bool = True
    """Whether an HTTP 5xx is stored for the key, and repeated, as Stripe does."""
    key_stores_vain_errors: bool = True
    """Whether an HTTP 5xx of a call that had no effect is stored, too."""
    key_stores_refusals: bool = True
    """Whether an HTTP 4xx is stored for the key. Where it is not, the key may be sent again."""
    replay: Callable[[Reply], Reply] = _same
    """Returns the response to a repeated key, given the stored one: marked as replayed, or with the latest status."""
    operation: str = ""
    """Only the first calls of an operation can fail by the plan. Where it is empty, it is the key without the numbers
    at its end, or the path."""
    fault: Fault = Fault.NONE
    """A fault that a test payment method asks for."""


class ProviderApi(Protocol[BooksT_co]):
    """What each double declares about its provider."""

    @property
    def books(self) -> BooksT_co:
        """The objects, and the ledger."""

    name: str
    """How people call the provider."""
    paths: tuple[str, ...]
    """The routes of the API, as Starlette writes them: ``/v1/{path:path}``."""
    server_error: Reply
    """The response of a fault that is an HTTP 500."""

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:
        """Return the headers, with the signature, of one try to send a webhook."""


def match_path(pattern: str, path: str) -> tuple[str, ...] | None:
    """Return the ids of a path, given a pattern such as ``/v1/refunds/{id}``; None where it is another path."""
    found = re.fullmatch(re.sub(r"\{[a-z_]+\}", r"([A-Za-z0-9_.~-]+)", pattern), path)
    return found.groups() if found else None
