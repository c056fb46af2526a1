"""A merchant takes money through Stripe: an account, a buyer on Stripe's page, webhooks, and what goes wrong.

Stripe is a double on loopback, whose books are compared with what paidonce says.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import httpx
import pytest

from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.databases import fresh_database
from tests.support.merchant_client import Json
from tests.support.provider_process import free_port
from tests.support.service_process import ServiceProcess, processes, wait_until
from tests.support.stripe import WEBHOOK_SECRET, stripe_double

pytestmark = pytest.mark.postgresql_in_prove

ANSWER_SECONDS_MAX: Final = 60.0
SHOP: Final = {"successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/cart"}


class Host:
    """A service of which Stripe is at a port of this machine. The tests of this file share it, one after the other."""

    def __init__(self, start: Callable[..., ServiceProcess], database_url: str) -> None:
        self.stripe_port = free_port()
        self._start = start
        self._settings = {
            "DATABASE_URL": database_url,
            "PORT": str(free_port()),
            "PAIDONCE_STRIPE_URL": f"http://127.0.0.1:{self.stripe_port}",
        }
        self.service = start("dev", **self._settings).wait_until_ready()

    def restart(self) -> None:
        """Start the service again that was killed."""
        self.service = self._start("dev", **self._settings).wait_until_ready()


class Shop:
    """A merchant with an account at the double of Stripe, and the buyer's browser."""

    def __init__(self, host: Host, stack: ExitStack) -> None:
        self.merchant_id = f"m_{secrets.token_hex(6)}"
        self.host = host
        self._stack = stack
        self.account_id = self.add_account()

    @property
    def service(self) -> ServiceProcess:
        return self.host.service

    def add_account(self, secret_key: str = SECRET_KEY) -> str:
        credentials = {"secretKey": secret_key, "webhookSecret": WEBHOOK_SECRET}
        account = {"merchantId": self.merchant_id, "provider": "stripe", "credentials": credentials}
        return str(self.call("POST", "/provider-accounts", account, expected=201)["id"])

    def stripe(self, *, webhooks: bool = True, plan: FaultPlan | None = None) -> StripeDouble:
        """Let Stripe be there; without ``webhooks`` it sends none."""
        url = f"{self.service.url}/providers/stripe/{self.account_id}/webhooks"
        target = WebhookTarget(url, WEBHOOK_SECRET) if webhooks else None
        return self._stack.enter_context(stripe_double(port=self.host.stripe_port, target=target, plan=plan))

    def call(self, method: str, path: str, body: Json | None = None, *, expected: int = 200, wait: int = 0) -> Any:  # noqa: ANN401 - JSON
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        answer = httpx.request(
            method, f"{self.service.url}{path}", json=body, headers=headers, timeout=ANSWER_SECONDS_MAX
        )
        assert answer.status_code == expected, answer.text
        return answer.json()

    def create(self, **fields: object) -> str:
        body = {"merchantId": self.merchant_id, "amount": 1999, "currency": "EUR", "description": "Two books", **fields}
        return str(
            self.call("POST", "/checkouts", {**body, "idempotencyKey": secrets.token_hex(8)}, expected=201)["id"]
        )

    def pay(self, checkout_id: str, method: str | None = None, **fields: str) -> Json:
        """Pay as the shop's server does; returns the checkout when there is something to do or to know."""
        body = ({} if method is None else {"paymentMethod": method}) | fields
        paid: Json = self.call("POST", f"/checkouts/{checkout_id}/pay", body, expected=202, wait=30)
        return paid

    def page_of(self, checkout_id: str) -> str:
        """Pay on Stripe's page; returns its URL."""
        checkout = self.pay(checkout_id)
        assert checkout["attempt"]["status"] == "REQUIRES_ACTION", checkout
        assert checkout["attempt"]["action"]["type"] == "redirect"
        return str(checkout["attempt"]["action"]["url"])

    def checkout(self, checkout_id: str) -> Json:
        found: Json = self.call("GET", f"/checkouts/{checkout_id}")
        return found

    def until(self, checkout_id: str, status: str) -> Json:
        """Wait until a checkout has a status."""
        wait_until(lambda: self.checkout(checkout_id)["status"] == status)
        return self.checkout(checkout_id)

    def causes(self, checkout_id: str) -> list[tuple[str, str]]:
        timeline = self.call("GET", f"/checkouts/{checkout_id}/timeline")["data"]
        return [(one["type"], one["cause"]) for one in timeline]


def act(page: str, **form: str) -> str:
    """Act on a page as the buyer does; returns where they are sent."""
    answer = httpx.post(page, data=form, timeout=ANSWER_SECONDS_MAX)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(url: str) -> httpx.Response:
    """Open the return URL in the buyer's browser."""
    return httpx.get(url, timeout=ANSWER_SECONDS_MAX)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("stripe")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        yield Host(stack.enter_context(processes(folder)), url)


@pytest.fixture
def shop(host: Host) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(host, stack)


def charged(stripe: StripeDouble) -> list[tuple[str, int]]:
    """Return the status of every PaymentIntent, and what it has received."""
    return [(one["status"], one["amount_received"]) for one in stripe.books.intents.values()]


def test_a_buyer_pays_on_stripe_s_page_and_comes_back_to_the_shop(shop: Shop) -> None:
    stripe = shop.stripe(webhooks=False)
    checkout_id = shop.create(**SHOP)
    page = shop.page_of(checkout_id)
    answer = come_back(act(page, act="pay", method="pm_card_visa"))
    assert (answer.status_code, answer.headers["location"]) == (303, SHOP["successUrl"])
    checkout = shop.checkout(checkout_id)
    assert (checkout["status"], checkout["amountCaptured"], checkout["attempt"]["action"]) == ("COMPLETED", 1999, None)
    assert charged(stripe) == [("succeeded", 1999)]
    assert shop.causes(checkout_id) == [
        ("checkout.created", "request"),
        ("checkout.processing", "request"),
        ("attempt.requires_action", "provider_answer"),
        ("checkout.completed", "lookup"),
    ]


def test_a_buyer_who_pays_and_never_comes_back_has_paid(shop: Shop) -> None:
    stripe = shop.stripe()
    checkout_id = shop.create()
    act(shop.page_of(checkout_id), act="pay", method="pm_card_visa")
    shop.until(checkout_id, "COMPLETED")
    assert shop.causes(checkout_id)[-1] == ("checkout.completed", "webhook")
    assert charged(stripe) == [("succeeded", 1999)]


def test_a_declined_card_is_no_end_and_the_buyer_pays_with_another(shop: Shop) -> None:
    stripe = shop.stripe()
    checkout_id = shop.create()
    page = shop.page_of(checkout_id)
    httpx.post(page, data={"act": "pay", "method": "pm_card_chargeDeclined"}, timeout=ANSWER_SECONDS_MAX)
    assert shop.checkout(checkout_id)["status"] == "PROCESSING"
    come_back(act(page, act="pay", method="pm_card_visa"))
    shop.until(checkout_id, "COMPLETED")
    assert [one for one in charged(stripe) if one[1]] == [("succeeded", 1999)]


def test_three_d_secure_on_stripe_s_page_is_approved(shop: Shop) -> None:
    shop.stripe(webhooks=False)
    checkout_id = shop.create(**SHOP)
    bank = act(shop.page_of(checkout_id), act="pay", method="pm_card_threeDSecure2Required")
    answer = come_back(act(bank, act="approve"))
    assert answer.headers["location"] == SHOP["successUrl"]
    assert shop.checkout(checkout_id)["status"] == "COMPLETED"


def test_a_buyer_who_comes_back_without_paying_can_continue_or_the_shop_cancels(shop: Shop) -> None:
    stripe = shop.stripe(webhooks=False)
    checkout_id = shop.create()
    page = shop.page_of(checkout_id)
    answer = come_back(act(page, act="cancel"))
    assert answer.status_code == 200
    assert page in answer.text
    assert shop.checkout(checkout_id)["status"] == "PROCESSING"
    assert shop.page_of(checkout_id) == page  # The same pay again leads to the same page.
    canceling = shop.call("POST", f"/checkouts/{checkout_id}/cancel", expected=202)
    assert canceling["status"] == "PROCESSING"
    shop.until(checkout_id, "CANCELED")
    assert httpx.get(page, timeout=ANSWER_SECONDS_MAX).status_code == 410
    assert charged(stripe) == []


def test_whoever_comes_back_with_a_forged_query_has_not_paid(shop: Shop) -> None:
    shop.stripe(webhooks=False)
    checkout_id = shop.create(**SHOP)
    return_url = act(shop.page_of(checkout_id), act="cancel")
    answer = come_back(f"{return_url}?redirect_status=succeeded&session_id=cs_test_paid")
    assert answer.status_code == 200
    assert shop.checkout(checkout_id)["status"] == "PROCESSING"
    assert come_back(f"{shop.service.url}/return/{'0' * 32}").status_code == 404


def test_an_authorization_is_captured_in_part_and_refunded_in_part(shop: Shop) -> None:
    stripe = shop.stripe()
    checkout_id = shop.create(captureMethod="manual")
    act(shop.page_of(checkout_id), act="pay", method="pm_card_visa")
    shop.until(checkout_id, "AUTHORIZED")
    shop.call("POST", f"/checkouts/{checkout_id}/capture", {"amount": 1500}, expected=202, wait=30)
    assert shop.until(checkout_id, "COMPLETED")["amountCaptured"] == 1500
    refund = shop.call("POST", f"/checkouts/{checkout_id}/refunds", {"amount": 400}, expected=202)
    wait_until(lambda: shop.call("GET", f"/refunds/{refund['id']}")["status"] == "SUCCEEDED")
    assert shop.checkout(checkout_id)["amountRefunded"] == 400
    assert charged(stripe) == [("succeeded", 1500)]
    assert [one["amount"] for one in stripe.books.refunds.values()] == [400]


def test_an_authorization_is_voided(shop: Shop) -> None:
    stripe = shop.stripe()
    checkout_id = shop.create(captureMethod="manual")
    act(shop.page_of(checkout_id), act="pay", method="pm_card_visa")
    shop.until(checkout_id, "AUTHORIZED")
    shop.call("POST", f"/checkouts/{checkout_id}/cancel", expected=202)
    shop.until(checkout_id, "CANCELED")
    assert charged(stripe) == [("canceled", 0)]


def test_a_payment_method_is_charged_at_once_or_declined_with_our_code_and_stripe_s(shop: Shop) -> None:
    stripe = shop.stripe(webhooks=False)
    assert shop.pay(shop.create(), "pm_card_visa")["status"] == "COMPLETED"
    declined = shop.pay(shop.create(), "pm_card_chargeDeclinedInsufficientFunds")
    assert (declined["status"], declined["attempt"]["declineCode"]) == ("FAILED", "insufficient_funds")
    assert [one for one in charged(stripe) if one[1]] == [("succeeded", 1999)]


def test_three_d_secure_of_a_payment_method_is_refused_by_the_buyer(shop: Shop) -> None:
    shop.stripe(webhooks=False)
    checkout_id = shop.create()
    checkout = shop.pay(checkout_id, "pm_card_threeDSecure2Required")
    come_back(act(checkout["attempt"]["action"]["url"], act="refuse"))
    assert shop.until(checkout_id, "FAILED")["attempt"]["declineCode"] == "authentication_failed"


def test_a_service_that_is_killed_while_the_buyer_pays_finds_the_payment(shop: Shop) -> None:
    stripe = shop.stripe(webhooks=False)
    checkout_id = shop.create()
    page = shop.page_of(checkout_id)
    shop.service.kill()
    return_url = act(page, act="pay", method="pm_card_visa")
    shop.host.restart()
    assert come_back(return_url).status_code == 200
    shop.until(checkout_id, "COMPLETED")
    assert charged(stripe) == [("succeeded", 1999)]


def test_credentials_that_stripe_does_not_know_decline_the_payment_and_the_next_account_works(shop: Shop) -> None:
    stripe = shop.stripe(webhooks=False)
    revoked = shop.add_account("sk_test_revoked0000")
    refused = shop.pay(shop.create(), account=revoked)
    assert (refused["status"], refused["attempt"]["declineCode"]) == ("FAILED", "provider_refused")
    assert shop.pay(shop.create(), "pm_card_visa", account=shop.account_id)["status"] == "COMPLETED"
    assert charged(stripe) == [("succeeded", 1999)]


def test_a_payment_waits_while_stripe_is_down_and_completes_when_it_is_back(shop: Shop) -> None:
    checkout_id = shop.create()
    shop.call("POST", f"/checkouts/{checkout_id}/pay", {"paymentMethod": "pm_card_visa"}, expected=202)
    wait_until(lambda: shop.checkout(checkout_id)["attempt"]["status"] == "UNKNOWN")
    stripe = shop.stripe()
    shop.until(checkout_id, "COMPLETED")
    assert charged(stripe) == [("succeeded", 1999)]


def test_a_disabled_account_takes_no_new_payments_and_keeps_those_under_way(shop: Shop) -> None:
    shop.stripe(webhooks=False)
    checkout_id = shop.create()
    page = shop.page_of(checkout_id)
    shop.call("POST", f"/provider-accounts/{shop.account_id}/disable", {})
    problem = shop.call("POST", f"/checkouts/{shop.create()}/pay", {"account": shop.account_id}, expected=409)
    assert problem["code"] == "provider_account_disabled"
    return_url = act(page, act="pay", method="pm_card_visa")
    shop.call("POST", f"/provider-accounts/{shop.account_id}/enable", {})
    come_back(return_url)
    shop.until(checkout_id, "COMPLETED")


def test_a_webhook_that_is_forged_or_for_another_account_changes_nothing(shop: Shop) -> None:
    shop.stripe(webhooks=False)
    shop.page_of(shop.create())
    url = f"{shop.service.url}/providers/stripe"
    body = b'{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{"object":{}}}'
    forged = {"Stripe-Signature": "t=1,v1=00"}
    assert httpx.post(f"{url}/{shop.account_id}/webhooks", content=body, headers=forged).status_code == 401
    unknown = f"{shop.account_id[:-1]}{'0' if shop.account_id[-1] != '0' else '1'}"
    assert httpx.post(f"{url}/{unknown}/webhooks", content=body, headers=forged).status_code == 404
    assert httpx.post(f"{url}/webhooks", content=body, headers=forged).status_code == 404


def test_whatever_stripe_loses_every_buyer_is_charged_once(shop: Shop) -> None:
    stripe = shop.stripe(plan=FaultPlan(rate=0.3, seed=7))
    checkout_ids = [shop.create() for _ in range(8)]
    for checkout_id in checkout_ids:
        shop.call("POST", f"/checkouts/{checkout_id}/pay", {"paymentMethod": "pm_card_visa"}, expected=202)
    for checkout_id in checkout_ids:
        shop.until(checkout_id, "COMPLETED")
    paid = [one["metadata"]["paidonce_checkout"] for one in stripe.books.intents.values() if one["amount_received"]]
    assert sorted(paid) == sorted(checkout_ids)
