"""Stripe's dashboard and banks, played by the double: what the webhooks tell, and when an authorization lapses."""

import copy
from typing import Any, Final

import msgspec
import pytest

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Provider
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Authorized,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Opened,
    RequiresAction,
    Succeeded,
)
from paidonce.proving.doubles.stripe import payments
from paidonce.proving.doubles.stripe.dashboard import act, close_dispute
from paidonce.proving.doubles.stripe.server import StripeDouble
from tests.support.doubles import SettableClock, charge_request, modification, page_of, visit
from tests.support.stripe import event
from tests.unit.providers.stripe.test_webhooks import signed

WEEK_MS: Final = 604_800_000
Told = list[tuple[str | None, str | None, Evidence | ExternalChange | None]]


@pytest.fixture
def events(double: StripeDouble, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Collect the bodies of the events that the double would send."""
    bodies: list[bytes] = []

    def tell(kind: str, about: dict[str, Any]) -> None:
        bodies.append(event(kind, copy.deepcopy(about)))

    monkeypatch.setattr(double.books, "tell", tell)
    return bodies


async def read(stripe: Provider, clock: SettableClock, events: list[bytes]) -> Told:
    """Read the events, and forget them."""
    told = []
    for body in events:
        (notice,) = await stripe.read_webhook(signed(body, seconds=clock() // 1000), body) or ()
        told.append((notice.key, notice.reference, notice.evidence))
    events.clear()
    return told


async def opened(stripe: Provider, key: str, *, capture: bool = True) -> ChargeRequest:
    request = charge_request(key, "pm_card_visa", capture=capture)
    found = await stripe.open(request)
    assert isinstance(found, Opened)
    return msgspec.structs.replace(request, session_reference=found.reference)


async def paid(stripe: Provider, key: str, *, capture: bool = True) -> str:
    """Charge, or authorize; returns the reference."""
    found = await stripe.charge(await opened(stripe, key, capture=capture))
    assert isinstance(found, Succeeded | Authorized)
    return found.reference


async def test_an_authorization_tells_when_it_lapses_at_once_by_look_up_and_by_webhook(
    stripe: Provider, clock: SettableClock, events: list[bytes]
) -> None:
    request = await opened(stripe, "lapse", capture=False)
    found = await stripe.charge(request)
    lapses_at = clock() // 1000 * 1000 + WEEK_MS
    assert found == Authorized(str(request.session_reference), 1000, "USD", "charge", lapses_at)
    assert await stripe.look_up(request) == found
    assert (request.key, None, found) in await read(stripe, clock, events)


async def test_an_authorization_on_stripes_page_tells_when_it_lapses_by_look_up(
    stripe: Provider, double: StripeDouble, clock: SettableClock
) -> None:
    request = charge_request("lapse-hosted", HOSTED_PAGE, capture=False)
    shown = await stripe.open(request)
    assert isinstance(shown, RequiresAction)
    await visit(page_of(shown.action), act="pay", method="pm_card_visa")
    found = await stripe.look_up(msgspec.structs.replace(request, session_reference=shown.reference))
    assert isinstance(found, Authorized)
    assert found.capture_before == clock() // 1000 * 1000 + WEEK_MS
    assert double.books.ledger.charged_or_held()[request.checkout_id] == [1000]


async def test_a_refund_of_the_dashboard_is_told_with_the_reference_of_its_charge_and_ours_with_its_key(
    stripe: Provider, double: StripeDouble, clock: SettableClock, events: list[bytes]
) -> None:
    reference = await paid(stripe, "told-refund")
    events.clear()
    made = act(double.books, reference, "refund", {"amount": "300"})
    told = ExternalRefund(made["id"], "succeeded", 300, "USD")
    assert await read(stripe, clock, events) == [(None, reference, told)]
    ours = modification("refund", "our-refund", reference, 200)
    refunded = await stripe.refund(ours)
    assert await read(stripe, clock, events) == [("our-refund", None, refunded)]
    payments.settle_refund(double.books, made, "failed")
    failed = ExternalRefund(made["id"], "failed", 300, "USD", "expired_card", "expired_or_canceled_card")
    assert await read(stripe, clock, events) == [(None, reference, failed)]


async def test_a_refund_of_ours_that_fails_late_is_told_with_its_reference(
    stripe: Provider, double: StripeDouble, clock: SettableClock, events: list[bytes]
) -> None:
    reference = await paid(stripe, "told-late")
    refunded = await stripe.refund(modification("refund", "late-refund", reference, 200))
    assert isinstance(refunded, Succeeded)
    events.clear()
    payments.settle_refund(double.books, double.books.refunds[refunded.reference], "failed")
    failed = Declined("expired_card", refunded.reference, "refund", "expired_or_canceled_card")
    assert await read(stripe, clock, events) == [("late-refund", None, failed)]


@pytest.mark.parametrize("ended", [("cancel", "canceled"), ("expire", "expired")], ids=lambda ended: ended[1])
async def test_an_authorization_that_ends_at_stripe_is_told_and_a_void_finds_that_nothing_is_held(
    stripe: Provider, double: StripeDouble, clock: SettableClock, events: list[bytes], ended: tuple[str, str]
) -> None:
    change, reason = ended
    key = f"told-{change}"
    reference = await paid(stripe, key, capture=False)
    events.clear()
    act(double.books, reference, change, {})
    assert await read(stripe, clock, events) == [(key, None, AuthorizationEnded(reason))]  # type: ignore[arg-type]
    void = modification("void", f"void-{change}", reference)
    assert await stripe.void(void) == Succeeded(reference, kind="void")
    assert isinstance(await stripe.capture(modification("capture", f"capture-{change}", reference)), Declined)


async def test_a_dispute_is_told_when_it_is_opened_and_when_it_is_closed(
    stripe: Provider, double: StripeDouble, clock: SettableClock, events: list[bytes]
) -> None:
    reference = await paid(stripe, "told-dispute")
    events.clear()
    disputed = act(double.books, reference, "dispute", {"amount": "700", "reason": "product_not_received"})
    close_dispute(double.books, disputed["id"], "lost")
    opened_first = Dispute(disputed["id"], "opened", 700, "USD", "product_not_received")
    lost = Dispute(disputed["id"], "lost", 700, "USD", "product_not_received")
    assert await read(stripe, clock, events) == [(None, reference, opened_first), (None, reference, lost)]
