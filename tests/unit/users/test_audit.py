"""The audit log: entries, their outcomes, and pages of them."""

from paidonce.users.audit import list_entries, record_entries, record_outcomes
from paidonce.users.audit_store import AuditEntry, AuditFilter, AuditOutcome
from tests.unit.users.conftest import UsersHarness


def entry(number: int, merchant_id: str = "m1") -> AuditEntry:
    return AuditEntry(
        id=f"aud_{number}", merchant_id=merchant_id, type="refund", actor="user:usr_1", address="192.0.2.1"
    )


def ids_of(users: UsersHarness, **wanted: object) -> tuple[list[str], bool]:
    found, more = users.do(list_entries, AuditFilter(**wanted))  # type: ignore[arg-type]
    return [one.id for one in found], more


def test_an_entry_is_recorded_once_with_its_time_and_has_an_outcome_when_it_has_ended(users: UsersHarness) -> None:
    recorded = users.clock.now
    users.do(record_entries, entry(1), entry(2))
    users.clock.now += 1
    users.do(record_entries, entry(1))
    users.do(record_outcomes, AuditOutcome("aud_1", "done"))
    newest, first = users.do(list_entries, AuditFilter(limit=10))[0]
    assert (newest.id, newest.outcome) == ("aud_2", None)
    assert (first.id, first.outcome, first.created_at) == ("aud_1", "done", recorded)
    assert (first.merchant_id, first.type, first.actor, first.address) == ("m1", "refund", "user:usr_1", "192.0.2.1")


def test_entries_are_listed_by_pages_the_newest_first_for_one_merchant_or_all(users: UsersHarness) -> None:
    users.do(record_entries, *(entry(number, "m2" if number == 3 else "m1") for number in range(1, 5)))
    assert ids_of(users, limit=2) == (["aud_4", "aud_3"], True)
    assert ids_of(users, limit=2, starting_after="aud_3") == (["aud_2", "aud_1"], False)
    assert ids_of(users, limit=3, merchant_id="m1") == (["aud_4", "aud_2", "aud_1"], False)
    assert ids_of(users, limit=2, merchant_id="m2") == (["aud_3"], False)
