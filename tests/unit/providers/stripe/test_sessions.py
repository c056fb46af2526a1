"""A buyer who pays on Stripe's page, before the double: opened, paid, declined, left alone, closed."""

import msgspec
import pytest

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Provider
from paidonce.providers.evidence import Accepted, Authorized, Declined, NotDone, NotFound, RequiresAction, Succeeded
from paidonce.proving.doubles.stripe.server import StripeDouble
from tests.support.doubles import RETURN_URL, SettableClock, charge_request, page_of, visit

DAY_MS = 24 * 60 * 60 * 1000


async def opened(
    stripe: Provider, key: str, *, capture: bool = True, now: int | None = None
) -> tuple[ChargeRequest, RequiresAction]:
    request = charge_request(key, capture=capture) if now is None else charge_request(key, capture=capture, now=now)
    action = await stripe.open(request)
    assert isinstance(action, RequiresAction)
    return msgspec.structs.replace(request, session_reference=action.reference), action


async def test_a_session_is_opened_with_our_ids_and_moves_no_money(stripe: Provider, double: StripeDouble) -> None:
    request, action = await opened(stripe, "open")
    assert page_of(action.action) == f"{double.books.url}/pay/{action.reference}"
    assert action.action.expires_at == request.expires_at
    _, _, sent = double.requests[-1]
    assert (sent["success_url"], sent["cancel_url"]) == (RETURN_URL, RETURN_URL)
    assert sent["client_reference_id"] == "chk_open"
    assert sent["line_items"][0]["price_data"]["product_data"]["name"] == "Two tickets"
    assert sent["metadata"]["paidonce_key"] == sent["payment_intent_data"]["metadata"]["paidonce_key"] == "open"
    assert "chk_open" not in double.books.ledger.charged()
    assert await stripe.look_up(request) == action


async def test_a_session_that_the_buyer_paid_is_a_success_of_its_payment(
    stripe: Provider, double: StripeDouble
) -> None:
    request, action = await opened(stripe, "paid")
    answer = await visit(page_of(action.action), act="pay", method="pm_card_visa")
    assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)
    found = await stripe.look_up(request)
    assert isinstance(found, Succeeded)
    assert found.reference.startswith("pi_")
    assert (found.amount, found.currency, found.kind) == (1000, "USD", "charge")
    assert await stripe.charge(request) == found, "charging a session only looks it up"
    assert double.books.ledger.charged()["chk_paid"] == [1000]


async def test_an_authorizing_session_holds_the_amount_until_it_is_captured(stripe: Provider) -> None:
    request, action = await opened(stripe, "hold", capture=False)
    await visit(page_of(action.action), act="pay", method="pm_card_visa")
    found = await stripe.look_up(request)
    assert isinstance(found, Authorized)
    assert (found.amount, found.currency) == (1000, "USD")


async def test_a_declined_card_is_no_end_of_a_session_and_another_card_pays_it(
    stripe: Provider, double: StripeDouble
) -> None:
    request, action = await opened(stripe, "second-card")
    await visit(page_of(action.action), act="pay", method="pm_card_chargeDeclined")
    assert await stripe.look_up(request) == action
    await visit(page_of(action.action), act="pay", method="pm_card_visa")
    assert isinstance(await stripe.look_up(request), Succeeded)
    assert double.books.ledger.charged()["chk_second-card"] == [1000]


@pytest.mark.parametrize(("act", "paid"), [("approve", True), ("refuse", False)])
async def test_a_session_whose_card_wants_the_bank_waits_for_the_buyer_there(
    stripe: Provider, act: str, *, paid: bool
) -> None:
    request, action = await opened(stripe, f"bank-{act}")
    answer = await visit(page_of(action.action), act="pay", method="pm_card_threeDSecure2Required")
    assert "/3ds/" in answer.headers["location"]
    assert await stripe.look_up(request) == action
    await visit(answer.headers["location"], act=act)
    assert isinstance(await stripe.look_up(request), Succeeded if paid else RequiresAction)


async def test_a_closed_session_takes_no_money(stripe: Provider, double: StripeDouble) -> None:
    request, action = await opened(stripe, "closed")
    await visit(page_of(action.action), act="pay", method="pm_card_chargeDeclined")
    for closed in (await stripe.close(request), await stripe.close(request), await stripe.look_up(request)):
        assert isinstance(closed, Declined)
        assert (closed.code, closed.raw_code) == ("session_expired", "expired")
    await visit(page_of(action.action), act="pay", method="pm_card_visa")
    assert "chk_closed" not in double.books.ledger.charged()


@pytest.mark.parametrize("capture", [True, False])
async def test_closing_a_session_that_was_paid_meanwhile_finds_the_payment(
    stripe: Provider, double: StripeDouble, *, capture: bool
) -> None:
    request, action = await opened(stripe, f"race-{capture}", capture=capture)
    await visit(page_of(action.action), act="pay", method="pm_card_visa")
    found = await stripe.close(request)
    assert isinstance(found, Succeeded if capture else Authorized)
    assert not [one for one in double.requests if one[1].endswith("/expire")]


async def test_a_session_that_is_paid_between_the_look_up_and_the_close_is_looked_up_again(
    stripe: Provider, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, action = await opened(stripe, "late")
    looked_up = stripe._look_up_charge  # type: ignore[attr-defined] # noqa: SLF001 - the race is between its calls

    async def paid_after_the_look_up(*arguments: object) -> object:
        found = await looked_up(*arguments)
        await visit(page_of(action.action), act="pay", method="pm_card_visa")
        return found

    monkeypatch.setattr(stripe, "_look_up_charge", paid_after_the_look_up)
    assert isinstance(await stripe.close(request), Succeeded)
    assert [one[1] for one in double.requests if one[1].endswith("/expire")]


async def test_a_buyer_who_never_comes_leaves_a_session_that_expires_by_itself(
    stripe: Provider, clock: SettableClock
) -> None:
    request, _ = await opened(stripe, "never", now=clock())
    clock.now += DAY_MS
    expired = await stripe.look_up(request)
    assert isinstance(expired, Declined)
    assert expired.code == "session_expired"


@pytest.mark.parametrize(("minutes", "expected"), [(1, 31), (60, 60), (3 * 24 * 60, 24 * 60 - 1)])
async def test_a_session_expires_with_its_checkout_within_what_stripe_allows(
    stripe: Provider, clock: SettableClock, minutes: int, expected: int
) -> None:
    request = charge_request(f"expiry-{minutes}", expires_at=clock() + minutes * 60_000)
    action = await stripe.open(request)
    assert isinstance(action, RequiresAction)
    assert action.action.expires_at == clock() + expected * 60_000


async def test_a_lost_answer_to_open_is_followed_by_another_session_that_is_paid_once(
    stripe: Provider, double: StripeDouble
) -> None:
    first, _ = await opened(stripe, "reopened")
    second = await stripe.open(msgspec.structs.replace(charge_request("reopened"), call_number=2))
    assert isinstance(second, RequiresAction)
    assert second.reference != first.session_reference, "nobody has seen the first one"
    await visit(page_of(second.action), act="pay", method="pm_card_visa")
    assert double.books.ledger.charged()["chk_reopened"] == [1000]


async def test_a_session_without_a_url_to_return_to_is_not_opened(stripe: Provider, double: StripeDouble) -> None:
    assert isinstance(await stripe.open(charge_request("nowhere", return_url=None)), NotDone)
    assert double.requests == []


async def test_what_has_no_session_is_not_found_and_not_charged(stripe: Provider, double: StripeDouble) -> None:
    assert await stripe.look_up(charge_request("none")) == NotFound()
    for refused in (await stripe.charge(charge_request("none")), await stripe.close(charge_request("none"))):
        assert isinstance(refused, NotDone)
    assert double.requests == []
    unknown = charge_request("none", session_reference="cs_test_unknown")
    assert await stripe.look_up(unknown) == NotFound()


async def test_a_payment_that_takes_days_is_accepted(stripe: Provider, double: StripeDouble) -> None:
    request, action = await opened(stripe, "days")
    await visit(page_of(action.action), act="pay", method="pm_card_visa")
    session = double.books.sessions[action.reference]
    double.books.intents[session["payment_intent"]]["status"] = "processing"
    assert await stripe.look_up(request) == Accepted(action.reference)
    assert stripe.opens_session(HOSTED_PAGE)
