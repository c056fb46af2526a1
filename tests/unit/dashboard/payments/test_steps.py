"""What people do about a payment: capture, cancel, refund, once each, and only where it is possible."""

import re

import pytest

from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import InProcessService, Json


async def checkout(inside: InProcessService, checkout_id: str) -> Json:
    found: Json = (await inside.get(f"/checkouts/{checkout_id}")).json()
    return found


async def refunds(inside: InProcessService, checkout_id: str) -> list[int]:
    found = (await inside.get(f"/checkouts/{checkout_id}/refunds")).json()["data"]
    return [one["amount"] for one in found]


def steps(page: str) -> dict[str, str]:
    """What can be done, each with the reason why not; empty where it can."""
    possible = dict.fromkeys(re.findall(r"<summary[^>]*>(.+?)…</summary>", page), "")
    disabled = re.findall(r"<button[^>]* disabled[^>]*>(.+?)</button>\s*<span[^>]*>(.+?)</span>", page)
    return possible | dict(disabled)


@pytest.mark.parametrize(
    ("typed", "amount"), [("3", 300), ("3.50", 350), ("3,50", 350), ("€ 3.50", 350), ("", 1000), ("10.00", 1000)]
)
async def test_a_part_or_all_is_refunded_with_the_amount_as_people_write_it(
    inside: InProcessService, clerk: DashboardClient, payments: str, typed: str, amount: int
) -> None:
    checkout_id = await inside.paid(currency="EUR")
    response = await clerk.post(f"{payments}/{checkout_id}/refund", {"amount": typed, "reason": "returned"})
    assert (response.status_code, response.headers["location"]) == (303, f"{payments}/{checkout_id}")
    assert await refunds(inside, checkout_id) == [amount]


async def test_the_form_is_filled_with_what_is_left(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid(currency="EUR")
    await inside.made(f"/checkouts/{checkout_id}/refunds", {"amount": 300})
    page = (await clerk.get(f"{payments}/{checkout_id}")).text
    assert 'value="7.00"' in page
    assert "€7.00 is left" in page


@pytest.mark.parametrize("typed", ["10.01", "much", "-1", "0", "1.005", "5 USD"])
async def test_an_amount_that_cannot_be_refunded_is_shown_again_and_nothing_happens(
    inside: InProcessService, clerk: DashboardClient, payments: str, typed: str
) -> None:
    checkout_id = await inside.paid(currency="EUR")
    response = await clerk.post(f"{payments}/{checkout_id}/refund", {"amount": typed, "reason": "returned"})
    assert response.status_code in (409, 422)
    assert f'value="{typed}"' in response.text
    assert 'value="returned"' in response.text
    assert " open>" in response.text
    assert 'class="error"' in response.text
    assert await refunds(inside, checkout_id) == []


async def test_a_form_that_is_sent_twice_refunds_once(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid()
    for _ in range(3):
        response = await clerk.post(f"{payments}/{checkout_id}/refund", {"amount": "1.00"}, key="the-form")
        assert response.status_code == 303
    assert await refunds(inside, checkout_id) == [100]


async def test_an_authorized_amount_is_captured_in_part(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.authorized()
    page = (await clerk.get(f"{payments}/{checkout_id}")).text
    assert steps(page) == {
        "Capture": "",
        "Refund": "Nothing was captured: the payment is authorized.",
        "Void the authorization": "",
    }
    assert (await clerk.post(f"{payments}/{checkout_id}/capture", {"amount": "4"})).status_code == 303
    capturing = await checkout(inside, checkout_id)
    assert (capturing["status"], capturing["attempt"]["kind"]) == ("PROCESSING", "CAPTURE")
    await inside.prove(capturing["attempt"]["id"], "cg_1")
    assert (await checkout(inside, checkout_id))["amountCaptured"] == 400


async def test_an_authorization_is_voided_and_an_unpaid_payment_is_canceled(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    authorized, unpaid = await inside.authorized(), await inside.checkout()
    for checkout_id in (authorized, unpaid):
        assert (await clerk.post(f"{payments}/{checkout_id}/cancel")).status_code == 303
    assert (await checkout(inside, authorized))["attempt"]["kind"] == "VOID"
    assert (await checkout(inside, unpaid))["status"] == "CANCELED"


async def test_what_is_not_possible_is_shown_with_the_reason_and_refused(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    paid = await inside.paid()
    unpaid = await inside.checkout()
    processing = await inside.checkout()
    await inside.made(f"/checkouts/{processing}/pay")
    seen = {one: steps((await clerk.get(f"{payments}/{one}")).text) for one in (paid, unpaid, processing)}
    waiting = "It waits for the provider. Only the provider&#39;s confirmation ends that."
    assert seen == {
        paid: {"Refund": "", "Cancel the payment": "It is paid. Refund it instead."},
        unpaid: {"Cancel the payment": "", "Refund": "Nothing was captured: the payment is pending."},
        processing: {"Refund": "Nothing was captured: the payment is processing.", "Cancel the payment": waiting},
    }
    for checkout_id, step in ((paid, "cancel"), (unpaid, "refund"), (processing, "cancel"), (paid, "capture")):
        response = await clerk.post(f"{payments}/{checkout_id}/{step}")
        assert response.status_code in (409, 422), step
        assert 'role="alert"' in response.text or 'class="error"' in response.text


async def test_nothing_more_than_what_is_left_can_be_refunded(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid()
    refund = await inside.made(f"/checkouts/{checkout_id}/refunds")
    page = (await clerk.get(f"{payments}/{checkout_id}")).text
    assert steps(page)["Refund"] == "The rest is being refunded."
    await inside.prove(refund["id"], "re_1")
    page = (await clerk.get(f"{payments}/{checkout_id}")).text
    assert steps(page)["Refund"] == "Everything is refunded."


async def test_a_viewer_sees_what_could_be_done_but_may_not(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid()
    page = (await viewer.get(f"{payments}/{checkout_id}")).text
    assert set(steps(page).values()) == {"Your role, viewer, may only look."}
    assert (await viewer.post(f"{payments}/{checkout_id}/refund", {"amount": "1"})).status_code == 403
    assert await refunds(inside, checkout_id) == []


async def test_an_operator_may_refund_for_every_merchant(inside: InProcessService, payments: str) -> None:
    checkout_id = await inside.paid()
    operator = await logged_in(inside, Role.OPERATOR)
    assert (await operator.post(f"{payments}/{checkout_id}/refund", {"amount": "1"})).status_code == 303
    assert await refunds(inside, checkout_id) == [100]


async def test_the_timeline_tells_who_did_it_and_names_operators_to_operators_only(
    inside: InProcessService, clerk: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid()
    operator = await logged_in(inside, Role.OPERATOR)
    for person in (clerk, operator):
        assert (await person.post(f"{payments}/{checkout_id}/refund", {"amount": "1"})).status_code == 303
    page = (await clerk.get(f"{payments}/{checkout_id}")).text
    assert f"a request of {clerk.user.email}." in page
    assert "a request of an operator." in page
    assert operator.user.email not in page
    assert operator.user.id not in page
    assert f"a request of {operator.user.email}." in (await operator.get(f"{payments}/{checkout_id}")).text
