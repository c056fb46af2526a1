"""Access tokens: got once, shared, replaced in time, and never a reason to send anything twice."""

import asyncio

import pytest

from paidonce.providers.base import Provider
from paidonce.providers.evidence import NotDone, Opened, RequiresAction, Succeeded, Unknown
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.paypal.server import CLIENT_ID, CLIENT_SECRET, TOKEN, TOKEN_SECONDS, PayPalDouble
from tests.support.doubles import SettableClock, charge_request
from tests.support.paypal import approved, connected, opened


def tokens(double: PayPalDouble) -> int:
    return len([one for one in double.requests if one[1] == TOKEN])


async def test_calls_at_once_share_one_token(paypal: Provider, double: PayPalDouble) -> None:
    await asyncio.gather(*(opened(paypal, f"att_{number}") for number in range(8)))
    assert tokens(double) == 1


async def test_a_token_is_replaced_before_it_expires(
    paypal: Provider, double: PayPalDouble, clock: SettableClock
) -> None:
    await opened(paypal, "att_early")
    clock.now += (TOKEN_SECONDS - 121) * 1000
    await opened(paypal, "att_in_time")
    assert tokens(double) == 1
    clock.now += 2000
    await opened(paypal, "att_late")
    assert tokens(double) == 2


async def test_a_revoked_token_is_replaced_once_and_the_call_is_made(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_revoked")
    double.books.tokens.clear()
    double.requests.clear()
    assert isinstance(await paypal.charge(request), Succeeded)
    assert [path for _, path, _ in double.requests] == [
        TOKEN,
        f"/v2/checkout/orders/{request.session_reference}/capture",
    ]
    assert double.books.ledger.charged()["chk_att_revoked"] == [1000]


@pytest.mark.parametrize("given", [("another-client-id", CLIENT_SECRET), (CLIENT_ID, "another-secret-0")])
async def test_wrong_credentials_refuse_every_call_before_it_is_sent(
    double: PayPalDouble, given: tuple[str, str]
) -> None:
    async with connected(double.books.url, client_id=given[0], client_secret=given[1]) as wrong:
        found = await wrong.open(charge_request("att_wrong"))
        assert isinstance(found, NotDone)
        assert not found.retryable
        assert isinstance(await wrong.look_up(charge_request("att_wrong", session_reference="O1")), Unknown)
        (said,) = await wrong.check()
        assert "does not accept the client id and secret" in said
    assert double.requests == []


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.DROPPED_AFTER])
async def test_a_token_that_cannot_be_had_now_means_that_nothing_was_done(
    paypal: Provider, double: PayPalDouble, fault: Fault
) -> None:
    double.next_faults.append((f"POST {TOKEN}", fault))
    found = await paypal.open(charge_request(f"att_{fault.name}"))
    assert isinstance(found, NotDone)
    assert found.retryable
    assert isinstance(await paypal.open(charge_request(f"att_{fault.name}")), RequiresAction)


async def test_a_look_up_without_a_token_proves_nothing(
    paypal: Provider, double: PayPalDouble, clock: SettableClock
) -> None:
    request = await approved(paypal, "att_blind")
    double.next_faults.append((f"POST {TOKEN}", Fault.ERROR_BEFORE))
    clock.now += TOKEN_SECONDS * 1000
    assert isinstance(await paypal.look_up(request), Unknown)
    assert await paypal.look_up(request) == Opened(request.session_reference or "")


async def test_a_check_of_credentials_that_work_finds_nothing(paypal: Provider, double: PayPalDouble) -> None:
    assert await paypal.check() == []
    async with connected(double.books.url, webhook_id="") as without:
        (said,) = await without.check()
        assert "no webhook id" in said
