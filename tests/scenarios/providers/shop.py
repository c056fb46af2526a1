"""A merchant with an account at a provider, the buyer's browser, and the service that all scenarios share."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any, Final, TypeVar

import httpx
import msgspec
import pytest

from paidonce.checkouts.model import CheckoutStatus
from paidonce.clock import system_clock
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.ledger import Ledger
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import WebhookTarget
from paidonce.proving.processes import free_port
from tests.scenarios.providers.address import ProviderAddress, Relay
from tests.scenarios.providers.kits import Operation, ProviderKit
from tests.support.merchant_client import Json
from tests.support.service_process import WAIT_SECONDS_MAX, ServiceProcess

ANSWER_SECONDS_MAX: Final = 60.0
PAUSE_SECONDS: Final = 0.03  # Between two reads of what the service does not let a client wait for.
URLS: Final = {"successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/cart"}
AMOUNT: Final = 1999
CALLS_AT_ONCE: Final = 16  # To one provider, so that a scenario can use them all.
# All delays scale with the first look-up: what takes an hour with the service's own settings takes seconds here.
QUICK: Final = {
    "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "1",
    "PAIDONCE_LEASE_SECONDS": "3",
    "PAIDONCE_RECONCILE_FIRST_SECONDS": "0.02",
    "PAIDONCE_POLL_SECONDS": "0.2",
    "PAIDONCE_PROVIDER_CONCURRENCY": str(CALLS_AT_ONCE),
}

T = TypeVar("T")


class Money(msgspec.Struct, frozen=True):
    """What became of a checkout's money, by the books of the provider. All amounts are in minor units.

    ``charged`` are charges and captures. ``held`` is what is authorized, and neither captured nor released.
    """

    charged: list[int]
    held: int
    refunded: list[int]


def read_money(ledger: Ledger, checkout_id: str) -> Money:
    """Read what became of a checkout's money."""
    mine = [one for one in ledger if one.checkout_id == checkout_id]
    ended = {one.payment_id for one in mine if one.kind in ("capture", "release")}
    return Money(
        charged=[one.amount for one in mine if one.kind in ("charge", "capture")],
        held=sum(one.amount for one in mine if one.kind == "authorization" and one.payment_id not in ended),
        refunded=[one.amount for one in mine if one.kind == "refund"],
    )


def required(found: T | None, what: str) -> T:
    """Skip the test where a provider does not have what it tests."""
    if not found:
        pytest.skip(f"with this provider, {what}")
    return found


class Host:
    """One service, and the addresses of all providers. The tests of a file share it, one after the other."""

    def __init__(
        self, start: Callable[..., ServiceProcess], database_url: str, addresses: Mapping[str, ProviderAddress]
    ) -> None:
        self.addresses = addresses
        self.http = httpx.Client(timeout=ANSWER_SECONDS_MAX, verify=False)
        self._start = start
        self.settings = {
            **QUICK,
            **{f"PAIDONCE_{name.upper()}_URL": address.url for name, address in addresses.items()},
            "DATABASE_URL": database_url,
            "PORT": str(free_port()),
        }
        self.service = start("dev", **self.settings).wait_until_ready()

    def restart(self) -> None:
        """Start the service again that was killed."""
        self.service = self._start("dev", **self.settings).wait_until_ready()


class Account(msgspec.Struct, frozen=True):
    """An account at the provider, which the double knows by its credentials."""

    id: str
    credentials: dict[str, str]


class Shop:
    """A merchant with one account at the provider, and the buyer's browser."""

    def __init__(self, host: Host, kit: ProviderKit) -> None:
        self.host = host
        self.kit = kit
        self.address = host.addresses[kit.name]
        self.browser = host.http
        self.merchant_id = f"m_{secrets.token_hex(6)}"
        self.double: Double[Any] | None = None
        self._accounts: list[Account] = []
        self._has_webhooks = False
        self.account = self.add_account()

    @property
    def service(self) -> ServiceProcess:
        return self.host.service

    # The provider.

    @contextmanager
    def provider(self, *, webhooks: bool = True, plan: FaultPlan | None = None) -> Iterator[Double[Any]]:
        """Let the provider be there; without ``webhooks`` it sends none, unless some outcomes are told by them only."""
        self._has_webhooks = webhooks or self.kit.needs_webhooks

        async def create() -> Double[Any]:
            return self.kit.create_double(url=self.address.url, plan=plan or FaultPlan(), clock=system_clock)

        self.address.start()
        try:
            self.double = self.address.run(create())
            self.double.accounts.clear()
            for account in self._accounts:
                self.admit(account)
            self.address.app = self.double.app
            yield self.double
        finally:
            self.address.stop()
            if self.double is not None:
                self.address.run(self.double.close())

    def admit(self, account: Account) -> None:
        """Let the double accept the credentials of an account."""
        if self.double is not None:
            url = self.address.relay(account.id, self.webhook_url(account.id)) if self._has_webhooks else ""
            target = WebhookTarget(url, self.kit.webhook_secret(account.credentials))
            self.double.accounts[self.kit.credential(account.credentials)] = target

    def revoke(self, account: Account) -> None:
        """Let the double no longer accept the credentials of an account."""
        assert self.double is not None, "the provider is there"
        del self.double.accounts[self.kit.credential(account.credentials)]

    @property
    def relay(self) -> Relay:
        """The relay of the webhooks of the first account."""
        return self.address.relays[self.account.id]

    def release_webhooks(self) -> None:
        """Pass on the webhooks that were held."""
        self.relay.is_holding = False
        self.address.send(self.relay.url, self.relay.received)

    def money(self, checkout_id: str) -> Money:
        """Read the provider's books."""
        assert self.double is not None, "the provider is there"
        return read_money(self.double.books.ledger, checkout_id)

    def fail_next(self, operation: Operation, fault: Fault) -> None:
        """Let the next call of this operation fail."""
        assert self.double is not None, "the provider is there"
        self.double.next_faults.append((self.kit.calls[operation], fault))

    def webhook_url(self, account_id: str) -> str:
        return f"{self.service.url}/providers/{self.kit.name}/{account_id}/webhooks"

    # The merchant's calls.

    def call(self, method: str, path: str, body: Json | None = None, *, expected: int = 200, wait: int = 0) -> Any:  # noqa: ANN401 - JSON
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        answer = self.host.http.request(method, f"{self.service.url}{path}", json=body, headers=headers)
        assert answer.status_code == expected, answer.text
        return answer.json()

    def add_account(self, *, known: bool = True) -> Account:
        """Add an account; one that is not ``known`` has credentials that the provider does not accept."""
        credentials = self.kit.credentials(secrets.token_hex(8))
        body = {"merchantId": self.merchant_id, "provider": self.kit.name, "credentials": credentials}
        account = Account(str(self.call("POST", "/provider-accounts", body, expected=201)["id"]), credentials)
        if known:
            self._accounts.append(account)
            self.admit(account)
        return account

    def create(self, **fields: object) -> str:
        body = {"merchantId": self.merchant_id, "amount": AMOUNT, "currency": "EUR", "description": "Two books"}
        body |= {"idempotencyKey": secrets.token_hex(8)} | fields
        return str(self.call("POST", "/checkouts", body, expected=201)["id"])

    def pay(self, checkout_id: str, method: str | None = None, **fields: str) -> Json:
        """Pay as the shop's server does; returns the checkout when there is something to do or to know."""
        body = ({} if method is None else {"paymentMethod": method}) | fields
        paid: Json = self.call("POST", f"/checkouts/{checkout_id}/pay", body, expected=202, wait=30)
        return paid

    def start_paying(self, checkout_id: str, method: str | None = None) -> None:
        """Pay, and do not wait for what becomes of it."""
        body = {} if method is None else {"paymentMethod": method}
        self.call("POST", f"/checkouts/{checkout_id}/pay", body, expected=202)

    def page_of(self, checkout_id: str, **fields: str) -> str:
        """Pay on the provider's page; returns its URL."""
        return page_in(self.pay(checkout_id, **fields))

    def checkout(self, checkout_id: str, *, wait: int = 0) -> Json:
        found: Json = self.call("GET", f"/checkouts/{checkout_id}", wait=wait)
        return found

    def until(self, checkout_id: str, *statuses: str) -> Json:
        """Wait until a checkout has one of these statuses, or its attempt has."""
        # The service lets a client wait for the end of a payment, and not for what comes before.
        wait = 5 if {*statuses} <= {*CheckoutStatus} else 0
        found: Json = {}

        def is_reached() -> bool:
            nonlocal found
            found = self.checkout(checkout_id, wait=wait)
            return found["status"] in statuses or (found["attempt"] or {}).get("status") in statuses

        wait_for(is_reached, lambda: f"checkout {found}")
        return found

    def cancel(self, checkout_id: str) -> Json:
        self.call("POST", f"/checkouts/{checkout_id}/cancel", expected=202)
        return self.until(checkout_id, "CANCELED")

    def capture(self, checkout_id: str, amount: int | None = None) -> Json:
        body = {} if amount is None else {"amount": amount}
        self.call("POST", f"/checkouts/{checkout_id}/capture", body, expected=202)
        return self.until(checkout_id, "COMPLETED")

    def refund(self, checkout_id: str, amount: int | None = None) -> Json:
        body = {} if amount is None else {"amount": amount}
        started = self.call("POST", f"/checkouts/{checkout_id}/refunds", body, expected=202)
        return self.until_refunded(started["id"])

    def until_refunded(self, refund_id: str) -> Json:
        """Wait until a refund is over."""
        found: Json = {}

        def is_over() -> bool:
            nonlocal found
            found = self.call("GET", f"/refunds/{refund_id}")
            return found["status"] in ("SUCCEEDED", "FAILED")

        wait_for(is_over, lambda: f"refund {found}")
        return found

    def until_refund_failed(self, refund_id: str) -> None:
        """Wait until a refund has failed that had succeeded."""
        refund = f"/refunds/{refund_id}"
        wait_for(lambda: self.call("GET", refund)["status"] == "FAILED", lambda: f"refund {refund_id}")

    def until_given_back(self, checkout_id: str) -> None:
        """Wait until a payment that came too late is given back."""
        wait_for(lambda: bool(self.money(checkout_id).refunded), lambda: f"{self.causes(checkout_id)}")

    def until_released(self, checkout_id: str) -> None:
        """Wait until the service knows that what was authorized too late is not held any more."""
        wait_for(lambda: self.causes(checkout_id)[-1][0] == "refund.succeeded", lambda: f"{self.causes(checkout_id)}")

    def change_account(self, change: str, account: Account | None = None, **body: object) -> Json:
        path = f"/provider-accounts/{(account or self.account).id}/{change}"
        found: Json = self.call("POST", path, body)
        return found

    def causes(self, checkout_id: str) -> list[tuple[str, str]]:
        timeline = self.call("GET", f"/checkouts/{checkout_id}/timeline")["data"]
        return [(one["type"], one["cause"]) for one in timeline]

    # The buyer.

    def come_back(self, url: str) -> httpx.Response:
        """Open the return URL in the buyer's browser, which follows where it leads at the service itself."""
        answer = self.browser.get(url)
        location = answer.headers.get("location", "")
        return self.browser.get(f"{self.service.url}{location}") if location.startswith("/pay/") else answer

    def approve(self, page: str) -> str:
        """Pay on the provider's page; returns the URL that the buyer is sent back to."""
        return self.kit.approve(self.browser, page)

    def paid(self, **fields: object) -> str:
        """Have a buyer pay a new checkout; returns its id."""
        checkout_id = self.create(**fields)
        self.come_back(self.approve(self.page_of(checkout_id)))
        self.until(checkout_id, "COMPLETED", "AUTHORIZED")
        return checkout_id


def page_in(checkout: Json) -> str:
    """Return the URL of the page that a checkout sends its buyer to."""
    assert checkout["attempt"]["status"] == "REQUIRES_ACTION", checkout
    assert checkout["attempt"]["action"]["type"] == "redirect"
    return str(checkout["attempt"]["action"]["url"])


def wait_for(condition: Callable[[], bool], describe: Callable[[], str]) -> None:
    """Wait for a condition of the service that it does not let a client wait for."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"it never came: {describe()}"
        Event().wait(PAUSE_SECONDS)
