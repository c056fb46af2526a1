"""Webhooks about what was done at the provider without a request of ours, and those that hold no key of ours."""

from itertools import permutations
from typing import Final

import pytest
from click.testing import CliRunner

from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.cli import main
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.settle import record_evidence
from paidonce.provider_webhooks.model import POSTPONED_DAYS_MAX, RETRY_SECONDS
from paidonce.providers.evidence import (
    Accepted,
    AuthorizationEnded,
    Authorized,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Succeeded,
    UnclearChange,
)
from tests.support.payments import evidence_about
from tests.unit.provider_webhooks.conftest import DECLINE, SUCCESS, Shop

REFUND: Final = ExternalRefund("re_1", "succeeded", 400, "USD")
DISPUTE: Final = Dispute("dp_1", "opened", 1000, "USD", "fraudulent")
ACCOUNT: Final = "simulator/pac_1"


@pytest.mark.parametrize("change", [REFUND, DISPUTE], ids=["a refund", "a dispute"])
def test_a_change_at_the_provider_is_applied_once_however_many_webhooks_tell_of_it(
    shop: Shop, change: ExternalChange
) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    names = [shop.receive(change, webhook_id=f"msg_{number}") for number in range(2, 5)]
    assert sorted(str(one) for one in shop.apply(*names, *names)) == ["CHANGED"] * 2 + ["KNOWN"] * 4
    history = shop.history(checkout_id)
    assert shop.apply(shop.receive(change, webhook_id="msg_2")) == [None]
    assert shop.history(checkout_id) == history


@pytest.mark.parametrize("order", list(permutations(["charge", "refund", "dispute"])))
def test_a_charge_its_refund_and_its_dispute_come_in_any_order_even_in_one_batch(
    shop: Shop, order: tuple[str, ...]
) -> None:
    checkout_id = shop.pays("one", "att_1")
    told: dict[str, Evidence | ExternalChange] = {"charge": SUCCESS, "refund": REFUND, "dispute": DISPUTE}
    assert shop.apply(*(shop.receive(told[one], webhook_id=one) for one in order)) == ["CHANGED"] * 3
    assert shop.attempts(checkout_id) == [("CHARGE", "SUCCEEDED"), ("REFUND", "SUCCEEDED")]


def test_a_refund_that_waits_for_ours_is_tried_again_for_a_month_and_then_left_to_an_operator(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    shop.do(start_refunds, StartRefund(attempt_id="ref_1", checkout=TenantScopedId(checkout_id, None)))
    name = shop.receive(REFUND, webhook_id="msg_2")
    pauses_seconds = []
    while (due_at := shop.row("msg_2").due_at) is not None:
        pauses_seconds.append((due_at - shop.now) // 1000)
        shop.now = due_at
        assert shop.apply(name) == ["POSTPONED"]
    assert pauses_seconds == [*RETRY_SECONDS, *[86_400] * POSTPONED_DAYS_MAX]
    listed = CliRunner().invoke(main, ["inbox", "list"], env={"DATABASE_URL": shop.url})
    assert "POSTPONED" in listed.output
    shop.do(record_evidence, evidence_about("ref_1", Declined("amount_exceeds_charge")))
    assert shop.apply(name) == ["CHANGED"]
    assert shop.attempts(checkout_id)[1:] == [("REFUND", "DECLINED"), ("REFUND", "SUCCEEDED")]


def test_a_change_that_no_rule_covers_is_not_tried_again_and_shown_to_operators(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    history = shop.history(checkout_id)
    assert shop.apply(shop.receive(ExternalRefund("re_1", "succeeded", 1001, "USD"), webhook_id="msg_2")) == [
        "NEEDS_REVIEW"
    ]
    assert (shop.row("msg_2").due_at, shop.row("msg_2").applied_at) == (None, None)
    assert shop.history(checkout_id) == history
    replayed = CliRunner().invoke(main, ["inbox", "replay", "msg_2"], env={"DATABASE_URL": shop.url})
    reason = "the provider reported more refunds than were captured"
    expected = f"Not applied to {checkout_id}: {reason}. Compare the provider's dashboard.\n"
    assert (replayed.exit_code, replayed.output) == (1, expected)


def test_a_capture_that_fails_after_it_succeeded_is_shown_to_operators_and_changes_nothing(shop: Shop) -> None:
    checkout_id = shop.captures("one")
    captured = Succeeded("cap_1", 1000, "USD", "capture")
    assert shop.apply(shop.receive(captured, key="att_2", webhook_id="msg_2")) == ["CHANGED"]
    history = shop.history(checkout_id)
    failed = Declined("provider_refused", "cap_1", "capture", "CAPTURE_FAILED")
    assert shop.apply(shop.receive(failed, key="att_2", webhook_id="msg_3")) == ["NEEDS_REVIEW"]
    assert (shop.status(checkout_id), shop.history(checkout_id)) == ("COMPLETED", history)
    replayed = CliRunner().invoke(main, ["inbox", "replay", "msg_3"], env={"DATABASE_URL": shop.url})
    reason = "the capture failed after it had succeeded: provider_refused"
    assert replayed.output == f"Not applied to {checkout_id}: {reason}. Compare the provider's dashboard.\n"


def test_a_capture_that_succeeds_and_fails_in_one_batch_is_shown_to_operators(shop: Shop) -> None:
    checkout_id = shop.captures("one")
    captured = shop.receive(Succeeded("cap_1", 1000, "USD", "capture"), key="att_2", webhook_id="msg_2")
    failed = shop.receive(Declined("provider_refused", "cap_1", "capture"), key="att_2", webhook_id="msg_3")
    assert shop.apply(captured, failed) == ["CHANGED", "NEEDS_REVIEW"]
    assert shop.status(checkout_id) == "COMPLETED"


@pytest.mark.parametrize("method", ["automatic", "manual"])
def test_a_second_charge_under_the_key_of_one_attempt_is_shown_to_operators(shop: Shop, method: str) -> None:
    checkout_id = shop.pays("one", "att_1", capture_method=method)
    charged = Succeeded if method == "automatic" else Authorized
    assert shop.apply(shop.receive(charged("ch_1"))) == ["CHANGED"]
    history = shop.history(checkout_id)
    assert shop.apply(shop.receive(charged("ch_2"), webhook_id="msg_2")) == ["NEEDS_REVIEW"]
    assert shop.apply(shop.receive(charged("ch_1"), webhook_id="msg_3")) == ["KNOWN"]
    assert shop.history(checkout_id) == history
    replayed = CliRunner().invoke(main, ["inbox", "replay", "msg_2"], env={"DATABASE_URL": shop.url})
    reason = "the provider reported a second charge, ch_2"
    assert replayed.output == f"Not applied to {checkout_id}: {reason}. Compare the provider's dashboard.\n"


def test_a_success_of_another_kind_of_operation_is_no_second_charge(shop: Shop) -> None:
    shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    refunded = Succeeded("re_1", 1000, "USD", "refund")
    assert shop.apply(shop.receive(refunded, webhook_id="msg_2")) == ["KNOWN"]


@pytest.mark.parametrize(
    "evidence",
    [Declined("provider_refused", "cap_2", "capture"), Succeeded("cap_1", 1000, "USD", "capture")],
    ids=["the failure of another capture", "the same success"],
)
def test_what_does_not_undo_a_capture_needs_no_person(shop: Shop, evidence: Evidence) -> None:
    shop.captures("one")
    shop.apply(shop.receive(Succeeded("cap_1", 1000, "USD", "capture"), key="att_2", webhook_id="msg_2"))
    assert shop.apply(shop.receive(evidence, key="att_2", webhook_id="msg_3")) == ["KNOWN"]


def test_a_change_that_the_connector_cannot_read_is_shown_to_operators_with_its_reason(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    unclear = UnclearChange("the dispute D-1 was resolved with an unknown outcome")
    assert shop.apply(shop.receive(unclear, webhook_id="msg_2")) == ["NEEDS_REVIEW"]
    assert shop.row("msg_2").due_at is None
    replayed = CliRunner().invoke(main, ["inbox", "replay", "msg_2"], env={"DATABASE_URL": shop.url})
    expected = f"Not applied to {checkout_id}: {unclear.reason}. Compare the provider's dashboard.\n"
    assert (replayed.exit_code, replayed.output) == (1, expected)


def test_a_change_of_a_charge_that_is_not_ours_costs_a_few_reads_and_is_kept(shop: Shop) -> None:
    changes: list[ExternalChange] = [REFUND, DISPUTE, AuthorizationEnded("expired")]
    for number, change in enumerate(changes):
        name = shop.receive(change, None, f"msg_{number}", ACCOUNT, reference="ch_elsewhere")
        assert shop.apply(name) == ["ATTEMPT_NOT_FOUND"]
    nothing_named = shop.receive(REFUND, None, "msg_9", ACCOUNT)
    assert shop.apply(nothing_named) == ["ATTEMPT_NOT_FOUND"]


# Webhooks without a key of ours


def test_a_change_is_found_by_the_providers_reference_of_the_charge(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1", "pac_1")
    shop.apply(shop.receive(SUCCESS, provider=ACCOUNT))
    name = shop.receive(REFUND, None, "msg_2", ACCOUNT, reference="ch_1")
    assert shop.apply(name) == ["CHANGED"]
    assert shop.attempts(checkout_id) == [("CHARGE", "SUCCEEDED"), ("REFUND", "SUCCEEDED")]


def test_evidence_about_a_refund_is_found_by_the_reference_that_it_shares_with_its_charge(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1", "pac_1")
    shop.apply(shop.receive(Succeeded("pay_1"), provider=ACCOUNT))
    shop.do(start_refunds, StartRefund(attempt_id="ref_1", checkout=TenantScopedId(checkout_id, None)))
    shop.do(record_evidence, evidence_about("ref_1", Succeeded("pay_1")))
    failed = Declined("expired_card", "pay_1", "refund")
    assert shop.apply(shop.receive(failed, None, "msg_2", ACCOUNT, reference="pay_1")) == ["CHANGED"]
    assert shop.attempts(checkout_id) == [("CHARGE", "SUCCEEDED"), ("REFUND", "DECLINED")]


def test_evidence_about_a_refund_belongs_to_the_one_that_is_under_way_of_those_that_share_a_reference(
    shop: Shop,
) -> None:
    checkout_id = shop.pays("one", "att_1", "pac_1")
    shop.apply(shop.receive(Succeeded("pay_1"), provider=ACCOUNT))
    for refund, evidence in (
        ("ref_1", Succeeded("pay_1")),
        ("ref_2", Accepted("pay_1")),
        ("ref_3", Declined("refund_refused", "pay_1", "refund")),
    ):
        shop.now += 1
        wish = StartRefund(attempt_id=refund, checkout=TenantScopedId(checkout_id, None), amount=100)
        shop.do(start_refunds, wish)
        shop.do(record_evidence, evidence_about(refund, evidence))
    refunded = Succeeded("pay_1", 100, "USD", "refund")
    assert shop.apply(shop.receive(refunded, None, "msg_2", ACCOUNT, reference="pay_1")) == ["CHANGED"]
    assert [status for _, status in shop.attempts(checkout_id)] == ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "DECLINED"]


def test_an_account_says_nothing_about_the_charges_of_another_account(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1", "pac_1")
    shop.apply(shop.receive(SUCCESS, provider=ACCOUNT))
    for provider in ("simulator/pac_2", "stripe/pac_1", "simulator"):
        name = shop.receive(REFUND, None, "msg_2", provider, reference="ch_1")
        assert shop.apply(name) == ["ATTEMPT_NOT_FOUND"]
    assert shop.attempts(checkout_id) == [("CHARGE", "SUCCEEDED")]


def test_a_webhook_with_a_key_that_is_not_ours_is_found_by_its_reference(shop: Shop) -> None:
    shop.pays("one", "att_1", "pac_1")
    shop.apply(shop.receive(SUCCESS, provider=ACCOUNT))
    assert shop.apply(shop.receive(REFUND, "order-7", "msg_2", ACCOUNT, reference="ch_1")) == ["CHANGED"]


def test_a_charge_that_was_given_back_because_it_came_too_late_may_be_disputed_too(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(DECLINE, webhook_id="declined"))
    shop.do(cancel_checkouts, CancelCheckout(TenantScopedId(checkout_id, None)))
    shop.apply(shop.receive(SUCCESS, webhook_id="late"))
    assert shop.apply(shop.receive(DISPUTE, webhook_id="disputed")) == ["CHANGED"]
    assert shop.history(checkout_id)[-1] == ("dispute.opened", "webhook")
