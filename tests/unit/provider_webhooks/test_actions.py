"""The inbox on both databases: stored once, applied in any order, tried again, replayed."""

from itertools import permutations

import pytest

from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import (
    Applied,
    ApplyWebhook,
    DueWebhooks,
    OldWebhooks,
    ReceivedWebhook,
    apply_webhooks,
    fail_webhooks,
    find_due_webhooks,
    find_old_webhooks,
    prune_webhooks,
    store_webhooks,
)
from paidonce.provider_webhooks.model import RETRY_SECONDS
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    NotFound,
    Notice,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.support.partial_transaction import PartialTransaction
from tests.unit.provider_webhooks.conftest import DECLINE, NOW, SUCCESS, Shop


def test_a_webhook_ends_a_payment_and_the_timeline_says_that_it_did(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    assert shop.apply(shop.receive(SUCCESS)) == ["CHANGED"]
    assert shop.status(checkout_id) == "COMPLETED"
    assert shop.history(checkout_id)[-1] == ("checkout.completed", "webhook")
    assert (shop.row().applied_at, shop.row().due_at, shop.row().body) == (NOW, None, '{"a":1}')


def test_the_same_webhook_is_stored_once_and_applied_once(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    names = [shop.receive(SUCCESS) for _ in range(3)]
    assert shop.apply(*names) == ["CHANGED"] * 3
    history = shop.history(checkout_id)
    assert shop.apply(shop.receive(SUCCESS)) == [None]
    assert shop.history(checkout_id) == history
    assert shop.row().tries == 1


def test_the_same_proof_under_another_id_changes_nothing_more(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    names = [shop.receive(SUCCESS, webhook_id=f"msg_{number}") for number in range(3)]
    assert sorted(str(one) for one in shop.apply(*names)) == ["CHANGED", "KNOWN", "KNOWN"]
    assert [kind for kind, _ in shop.history(checkout_id)].count("checkout.completed") == 1


@pytest.mark.parametrize("order", list(permutations(["decline", "success", "success again"])))
def test_in_whatever_order_they_come_the_end_is_the_same(shop: Shop, order: tuple[str, ...]) -> None:
    checkout_id = shop.pays("one", "att_1")
    for what in order:
        shop.apply(shop.receive(DECLINE if what == "decline" else SUCCESS, webhook_id=what))
    assert shop.status(checkout_id) == "COMPLETED"
    assert shop.attempts(checkout_id) == [("CHARGE", "SUCCEEDED")]


def test_a_success_that_is_proven_too_late_for_its_checkout_is_given_back_at_once(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(DECLINE, webhook_id="declined"))
    shop.do(cancel_checkouts, CancelCheckout(TenantScopedId(checkout_id, None)))
    assert shop.apply(shop.receive(SUCCESS, webhook_id="late")) == ["CHANGED"]
    assert shop.status(checkout_id) == "CANCELED"
    assert sorted(shop.attempts(checkout_id)) == [("CHARGE", "SUCCEEDED"), ("REVERSAL", "READY")]
    assert shop.apply(shop.receive(SUCCESS, webhook_id="later")) == ["KNOWN"]
    assert len(shop.attempts(checkout_id)) == 2


@pytest.mark.parametrize("evidence", [None, Unknown("pending"), NotFound()])
def test_what_is_no_news_changes_nothing(shop: Shop, evidence: Evidence | None) -> None:
    checkout_id = shop.pays("one", "att_1")
    history = shop.history(checkout_id)
    assert shop.apply(shop.receive(evidence)) == ["NO_NEWS"]
    assert (shop.attempts(checkout_id), shop.history(checkout_id)) == ([("CHARGE", "SENT")], history)


@pytest.mark.parametrize(
    "evidence",
    [
        Succeeded("re_1", 1000, "USD", "refund"),
        Declined("refund_refused", "re_1", "refund"),
        Authorized("ch_1", kind="void"),
    ],
    ids=lambda evidence: type(evidence).__name__,
)
def test_a_webhook_about_another_kind_of_operation_ends_nothing_and_a_person_must_look(
    shop: Shop, evidence: Evidence
) -> None:
    checkout_id = shop.pays("one", "att_1")
    assert shop.apply(shop.receive(evidence)) == ["CHANGED"]
    assert (shop.status(checkout_id), shop.attempts(checkout_id)) == ("PROCESSING", [("CHARGE", "NEEDS_REVIEW")])
    assert shop.history(checkout_id)[-1] == ("attempt.needs_review", "webhook")
    assert shop.apply(shop.receive(Succeeded("ch_1", 1000, "USD", "charge"), webhook_id="msg_2")) == ["CHANGED"]
    assert shop.status(checkout_id) == "COMPLETED"


def test_the_end_of_a_session_that_nobody_was_shown_does_not_end_the_payment(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    waits = RequiresAction("ses_2", Redirect("https://provider.example/ses_2"))
    shop.apply(shop.receive(waits, webhook_id="opened"))
    # The answer to the opening of the first session was lost, and the second was opened with the same key.
    first, second = Declined("session_expired", "ses_1", "charge"), Declined("session_expired", "ses_2", "charge")
    assert shop.apply(shop.receive(first, webhook_id="msg_1", reference="ses_1")) == ["NO_NEWS"]
    assert (shop.status(checkout_id), shop.attempts(checkout_id)) == ("PROCESSING", [("CHARGE", "REQUIRES_ACTION")])
    assert shop.apply(shop.receive(second, webhook_id="msg_2", reference="ses_2")) == ["CHANGED"]
    assert (shop.status(checkout_id), shop.attempts(checkout_id)) == ("FAILED", [("CHARGE", "DECLINED")])


def test_a_success_counts_whichever_session_it_is_of(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    waits = RequiresAction("ses_2", Redirect("https://provider.example/ses_2"))
    shop.apply(shop.receive(waits, webhook_id="opened"))
    assert shop.apply(shop.receive(SUCCESS, reference="ses_1")) == ["CHANGED"]
    assert shop.status(checkout_id) == "COMPLETED"


@pytest.mark.parametrize("reference", [None, "ses_1"])
def test_a_decline_ends_a_payment_whose_session_is_not_named_or_not_known(shop: Shop, reference: str | None) -> None:
    checkout_id = shop.pays("one", "att_1")
    if reference is None:
        waits = RequiresAction("ses_2", Redirect("https://provider.example/ses_2"))
        shop.apply(shop.receive(waits, webhook_id="opened"))
    assert shop.apply(shop.receive(DECLINE, reference=reference)) == ["CHANGED"]
    assert shop.status(checkout_id) == "FAILED"


def test_a_provider_says_nothing_about_the_attempts_of_another(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    assert shop.apply(shop.receive(SUCCESS, provider="elsewhere")) == ["ATTEMPT_NOT_FOUND"]
    assert shop.status(checkout_id) == "PROCESSING"


def test_a_body_that_is_no_text_is_stored_in_a_form_that_can_be_read(shop: Shop) -> None:
    shop.do(store_webhooks, ReceivedWebhook("simulator", Notice("msg_1", "att_1", SUCCESS), b'{"a":"\xff\0"}'))
    assert shop.row().body == '{"a":"\\xff\\0"}'


def test_while_a_node_is_lost_a_webhook_whose_attempt_may_be_on_it_stays_due_and_the_others_are_applied(
    shop: Shop,
) -> None:
    shop.pays("one", "att_1")
    names = [shop.receive(SUCCESS), shop.receive(SUCCESS, key="att_2", webhook_id="msg_2")]
    with shop.database.write() as transaction:
        partial = PartialTransaction(transaction.connection, transaction.now)
        wishes = [ApplyWebhook(name=name, schedule=LookupSchedule(), chance=0.5) for name in names]
        applied, unavailable = apply_webhooks(partial, wishes)
    assert isinstance(applied, Applied)
    assert isinstance(unavailable, DatabaseUnavailable)
    assert (shop.row().applied_at, shop.row("msg_2").tries) == (NOW, 0)
    shop.now += RETRY_SECONDS[0] * 1000
    assert shop.due() == ["msg_2"]


def test_two_providers_may_give_the_same_id(shop: Shop) -> None:
    shop.pays("one", "att_1")
    assert shop.apply(shop.receive(SUCCESS, provider="elsewhere")) == ["ATTEMPT_NOT_FOUND"]
    assert shop.apply(shop.receive(SUCCESS)) == ["CHANGED"]


def test_a_webhook_that_nobody_applied_is_due_soon(shop: Shop) -> None:
    shop.receive(SUCCESS)
    assert shop.due() == []
    shop.now += RETRY_SECONDS[0] * 1000
    assert shop.due() == ["msg_1"]


def test_a_webhook_without_its_attempt_is_tried_less_and_less_often_and_then_left_to_an_operator(shop: Shop) -> None:
    name = shop.receive(SUCCESS)
    pauses = []
    while (due_at := shop.row().due_at) is not None:
        pauses.append((due_at - shop.now) // 1000)
        shop.now = due_at
        assert shop.due() == ["msg_1"]
        assert shop.apply(name) == ["ATTEMPT_NOT_FOUND"]
    assert tuple(pauses) == RETRY_SECONDS
    assert (shop.row().result, shop.row().applied_at) == ("ATTEMPT_NOT_FOUND", None)


def test_a_webhook_that_came_before_its_attempt_is_applied_when_the_attempt_is_there(shop: Shop) -> None:
    name = shop.receive(SUCCESS)
    assert shop.apply(name) == ["ATTEMPT_NOT_FOUND"]
    checkout_id = shop.pays("one", "att_1")
    assert shop.apply(name) == ["CHANGED"]
    assert shop.status(checkout_id) == "COMPLETED"


def test_a_webhook_that_fails_is_put_off_and_stays_visible(shop: Shop) -> None:
    name = shop.receive(SUCCESS)
    shop.do(fail_webhooks, name)
    assert (shop.row().result, shop.row().tries, shop.row().applied_at) == ("FAILED", 1, None)
    assert shop.row().due_at == NOW + RETRY_SECONDS[1] * 1000


def test_of_many_webhooks_at_once_each_is_applied_to_its_own(shop: Shop) -> None:
    ids = [shop.pays(str(number), f"att_{number}") for number in range(20)]
    names = [shop.receive(SUCCESS, key=f"att_{number}", webhook_id=f"msg_{number}") for number in range(20)]
    assert shop.apply(*names, *names) == ["CHANGED"] * 40
    assert {shop.status(one) for one in ids} == {"COMPLETED"}


def test_only_what_was_applied_long_ago_is_pruned_a_few_at_a_time(shop: Shop) -> None:
    for number in range(5):
        shop.pays(f"{number}", f"att_{number}")
        shop.apply(shop.receive(SUCCESS, f"att_{number}", f"msg_{number}"))
        shop.now += 1000
    shop.receive(SUCCESS, "att_nobody", "msg_waiting")
    old = OldWebhooks(age_ms=2000, limit=2)
    (names,) = shop.do(find_old_webhooks, old)
    assert [name.id for name in names] == ["msg_0", "msg_1"]
    shop.do(prune_webhooks, [*names, WebhookName("simulator", "msg_waiting")])
    shop.do(prune_webhooks, names)  # Run again after a commit whose answer was lost, it does nothing more.
    assert [name.id for name in shop.do(find_old_webhooks, old)[0]] == ["msg_2"]
    shop.now += 10**12
    left = shop.do(find_old_webhooks, OldWebhooks(age_ms=1, limit=99))[0]
    assert [name.id for name in left] == ["msg_2", "msg_3", "msg_4"]
    assert len(shop.do(find_due_webhooks, DueWebhooks(99))[0]) == 1  # What is not applied is never pruned.
