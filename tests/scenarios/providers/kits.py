"""What the scenarios need to know of each provider: how a buyer acts on its pages, and what its double can do.

A new provider adds one kit in a module of its own, and a line to ``ALL_KITS`` in conftest.py. What a provider does not
have is None or False, and the scenarios of it are skipped for this kit with the reason.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import httpx
import msgspec

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.server import Double

Operation: TypeAlias = Literal["open", "charge", "capture", "void", "refund"]


class SentWebhook(msgspec.Struct, frozen=True):
    """A webhook as the double sent it."""

    headers: Mapping[str, str]
    body: bytes


class ProviderKit(ABC):
    """A provider. Its buyers act on its pages by the methods of the kit, which return where the buyer is sent next."""

    name: str
    """The provider's name in requests. The setting of its URL is ``PAIDONCE_<NAME>_URL``."""

    calls: ClassVar[Mapping[Operation, str]]
    """A pattern of ``METHOD /path`` for each of the API's calls that have an effect: opening a session for the page,
    charging, and what changes a charge. There is no ``charge`` where the buyer's approval alone charges."""

    # Payment methods that need no page. None where the provider has none.
    succeeding: str | None = None
    declining: str | None = None
    """The bank declines because of insufficient funds."""
    authenticating: str | None = None
    """The bank wants the buyer's approval: 3-D Secure."""

    # The page.
    can_decline: bool = True
    """Whether the bank of a buyer can decline on the page."""
    open_after_decline: bool = False
    """Whether a buyer whose payment was declined on the page can try again there."""
    can_go_back: bool = True
    """Whether the page has a way back to the shop without a payment."""
    open_after_going_back: bool = True
    """Whether a buyer who went back can still pay on the page."""
    authenticates_on_page: bool = False
    """Whether there is 3-D Secure for payments on the page."""

    # The API.
    manual_capture: bool = True
    partial_capture: bool = True
    fails_refunds_late: bool = False
    """Whether a refund that succeeded can fail later: the double's ``/double/refunds/{id}/failed`` lets it."""
    needs_webhooks: bool = False
    """Whether some outcomes are told by webhooks only: then no scenario is played without them."""
    storing_error: str | None = None
    """A payment method that is charged though the answer is an error, which the key gets again and again; None where
    look-ups tell of it.
    """
    webhook_proves: bool = True
    """Whether the webhook about a buyer's payment completes it without another call to the provider."""
    currency_not_taken: str | None = None
    """A currency that the connector refuses before anything is sent; None where it refuses none."""

    @abstractmethod
    def credentials(self, name: str) -> dict[str, str]:
        """Return well-formed credentials of the account with this name, which has lower-case letters and digits."""

    @abstractmethod
    def credential(self, credentials: Mapping[str, str]) -> str:
        """Return the one of these by which the double knows its accounts."""

    @abstractmethod
    def webhook_secret(self, credentials: Mapping[str, str]) -> str:
        """Return the one of these by which the double signs webhooks; empty where it signs none."""

    @abstractmethod
    def create_double(self, *, url: str, plan: FaultPlan, clock: Clock) -> Double[Any]:
        """Create a double whose pages are at ``url``; the scenario adds its accounts."""

    @abstractmethod
    def error_in_200(self) -> bytes:
        """Write the body of a response that has the status 200 and an error inside."""

    @abstractmethod
    def forgeries(self, webhook: SentWebhook) -> Collection[SentWebhook]:
        """Return versions of a webhook that must not be believed; none where the provider signs nothing."""

    def is_from(self, headers: Mapping[str, str], credentials: Mapping[str, str]) -> bool:
        """Whether a call to the API was made with these credentials; of several calls the first is enough."""
        return any(self.credential(credentials) in value for value in headers.values())

    # The buyer.

    @abstractmethod
    def approve(self, browser: httpx.Client, page: str) -> str:
        """Pay on the provider's page."""

    @abstractmethod
    def is_closed(self, browser: httpx.Client, page: str) -> bool:
        """Try to pay on the provider's page, and tell whether that is refused."""

    def decline(self, browser: httpx.Client, page: str) -> None:
        """Try to pay on the provider's page, where the buyer's bank declines."""
        raise NotImplementedError

    def approve_with_failing_capture(self, browser: httpx.Client, page: str) -> str:
        """Pay on the provider's page so that a capture is accepted and fails later."""
        raise NotImplementedError

    def go_back(self, browser: httpx.Client, page: str) -> str:
        """Leave the provider's page without paying."""
        raise NotImplementedError

    def begin_authentication(self, browser: httpx.Client, page: str) -> str:
        """Pay on the provider's page with a card whose bank wants the buyer's approval; returns the bank's page."""
        raise NotImplementedError

    def authenticate(self, browser: httpx.Client, bank: str, *, approving: bool) -> str:
        """Approve or refuse a payment on the page of the bank."""
        raise NotImplementedError


def press(browser: httpx.Client, page: str, **form: str) -> str:
    """Submit a form on a page that sends the buyer on; returns where to."""
    answer = browser.post(page, data=form)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return answer.headers["location"]
