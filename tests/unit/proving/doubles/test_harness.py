"""What all doubles have in common, with the double of Stripe: accounts, the ledger, and faults that are counted."""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import msgspec

from paidonce.providers.base import HOSTED_PAGE, Provider
from paidonce.providers.evidence import NotDone, RequiresAction
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.ledger import Movement
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from tests.support.doubles import PATIENCE_SECONDS, charge_request, modification, page_of, visit
from tests.support.raw_server import OK, raw_server
from tests.support.stripe import connected, stripe_double

OTHER: Final = "sk_test_other0000"


async def control(double: StripeDouble, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """Read or set what another process reads and sets."""
    async with httpx.AsyncClient(base_url=f"{double.books.url}/double", timeout=PATIENCE_SECONDS) as client:
        answer = await (client.get(path) if body is None else client.post(path, json=body))
    assert answer.status_code == 200
    return answer.json()


async def paid(stripe: Provider, key: str, **fields: Any) -> str:  # noqa: ANN401 - fields of the request
    """Charge or authorize; returns the reference."""
    request = charge_request(key, "pm_card_visa", **fields)
    opened = await stripe.open(request)
    reference = getattr(opened, "reference", None)
    charged = await stripe.charge(msgspec.structs.replace(request, session_reference=reference))
    return str(getattr(charged, "reference", ""))


async def test_the_ledger_tells_each_movement_in_minor_units_with_our_checkout_and_key() -> None:
    with stripe_double() as double:
        async with connected(double.books.url) as stripe:
            reference = await paid(stripe, "isk", amount=5000, currency="ISK")
            held = await paid(stripe, "held", capture=False)
            await stripe.capture(modification("capture", "k-capture", held, 700))
            await stripe.refund(modification("refund", "k-refund", held, 200))
            voided = await paid(stripe, "voided", capture=False)
            await stripe.void(modification("void", "k-void", voided))
        found = msgspec.convert((await control(double, "/books"))["movements"], list[Movement])
    told = [(one.kind, one.amount, one.currency, one.checkout_id, one.operation_key) for one in found]
    assert told == [
        ("charge", 5000, "ISK", "chk_isk", "isk"),
        ("authorization", 1000, "USD", "chk_held", "held"),
        ("capture", 700, "USD", "chk_held", "k-capture"),
        ("refund", 200, "USD", "chk_held", "k-refund"),
        ("authorization", 1000, "USD", "chk_voided", "voided"),
        ("release", 1000, "USD", "chk_voided", "k-void"),
    ]
    assert [one.payment_id for one in found] == [reference, held, held, held, voided, voided]


async def test_each_account_sees_its_own_objects_and_its_webhooks_alone() -> None:
    async with raw_server(OK) as receiver:
        with stripe_double() as double:
            account = {"credential": OTHER, "webhookUrl": f"{receiver.url}/other", "webhookSecret": "whsec_other0000"}
            await control(double, "/accounts", [account])
            async with connected(double.books.url) as first, connected(double.books.url, secret_key=OTHER) as second:
                mine = await paid(first, "first")
                refused = await second.refund(modification("refund", "k-1", mine))
                assert isinstance(refused, NotDone)
                page = await second.open(charge_request("second", HOSTED_PAGE, now=double.books.clock()))
                assert isinstance(page, RequiresAction)
                await visit(page_of(page.action), act="pay", method="pm_card_visa")
                await receiver.wait_for_requests(2)
    assert all(request.startswith(b"POST /other ") for request in receiver.requests)
    assert all(b"chk_second" in request for request in receiver.requests)


async def test_what_happens_on_a_page_belongs_to_its_account_whoever_calls_meanwhile() -> None:
    with stripe_double() as double:
        await control(double, "/accounts", [{"credential": OTHER}])
        async with connected(double.books.url) as first, connected(double.books.url, secret_key=OTHER) as second:
            page = await first.open(charge_request("page", HOSTED_PAGE, now=double.books.clock()))
            assert isinstance(page, RequiresAction)

            async def slow_form() -> AsyncIterator[bytes]:
                yield b"act=pay&"
                await paid(second, "meanwhile")
                yield b"method=pm_card_visa"

            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as browser:
                await browser.post(page_of(page.action), content=slow_form())
            movements = (await control(double, "/books"))["movements"]
    assert {one["checkoutId"]: one["account"] for one in movements} == {"chk_page": SECRET_KEY, "chk_meanwhile": OTHER}


async def test_a_fault_is_counted_by_its_name() -> None:
    with stripe_double(plan=FaultPlan(rate=1.0, faulty_calls_max=1)) as double:
        double.next_faults.append((r"GET /v1/balance", Fault.ERROR_BEFORE))
        async with connected(double.books.url, timeout_seconds=2.0) as stripe:
            await stripe.check()
            await stripe.check()
        counted = (await control(double, "/faults"))["data"]
    assert counted["error_before"] == 1
    assert [name for name in counted if name.startswith("look_up_")]
