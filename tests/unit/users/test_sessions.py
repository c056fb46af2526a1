"""Sessions: when they end, how they are listed, and what is deleted."""

from sqlalchemy import func, select

from paidonce.database.schema import dashboard_session
from paidonce.users.model import IDLE_MS_MAX, SECOND_FACTOR_MS, SESSION_MS, Session
from paidonce.users.sessions import EndSessions, end_sessions, list_sessions, make_session, use_sessions
from paidonce.users.store import EXPIRED_MAX, insert_sessions
from tests.unit.users.conftest import UsersHarness, new_session


def test_a_session_that_is_not_verified_lasts_for_minutes_and_one_that_is_for_days() -> None:
    pending = make_session(new_session("a"), "usr_1", 1000, is_verified=False)
    verified = make_session(new_session("a", user_agent="x" * 300), "usr_1", 1000, is_verified=True)
    assert (pending.expires_at, pending.verified_at) == (1000 + SECOND_FACTOR_MS, None)
    assert (verified.expires_at, verified.verified_at) == (1000 + SESSION_MS, 1000)
    assert (verified.user_id, verified.created_at, verified.used_at) == ("usr_1", 1000, 1000)
    assert (verified.address, verified.user_agent) == ("192.0.2.1", "x" * 200)


def is_live(session: Session, *times: int) -> list[bool]:
    return [session.is_live(one) for one in times]


def test_a_session_is_live_until_it_expires_or_is_idle_for_too_long() -> None:
    session = make_session(new_session("a"), "usr_1", 0, is_verified=True)
    assert is_live(session, IDLE_MS_MAX - 1, IDLE_MS_MAX) == [True, False]
    pending = make_session(new_session("a"), "usr_1", 0, is_verified=False)
    assert is_live(pending, SECOND_FACTOR_MS - 1, SECOND_FACTOR_MS) == [True, False]


def test_a_session_that_is_used_does_not_end_as_idle(users: UsersHarness) -> None:
    user = users.create()
    used, idle = users.begin(user, "used"), users.begin(user, "idle")
    users.clock.now += IDLE_MS_MAX - 1
    assert users.do(use_sessions, used.id) is None
    users.clock.now += 1
    assert users.logged_in("used", "idle", "unknown") == ["used"]
    assert [one.id for one in users.do(list_sessions, user.id)] == [used.id]
    assert idle.id != used.id


def test_only_the_sessions_of_the_user_that_can_be_used_are_listed_newest_first(users: UsersHarness) -> None:
    user, other = users.create("a@example.com"), users.create("b@example.com")
    with users.database.write() as transaction:
        theirs = [make_session(new_session(f"{one}"), user.id, transaction.now, is_verified=True) for one in range(52)]
        insert_sessions(transaction, theirs)
    users.begin(other, "other")
    newest = sorted((one.id for one in theirs), reverse=True)[:50]
    assert [one.id for one in users.do(list_sessions, user.id)] == newest
    users.do(use_sessions, newest[7])
    users.clock.now += IDLE_MS_MAX - 1
    users.do(use_sessions, newest[7])
    users.clock.now += 1
    assert [one.id for one in users.do(list_sessions, user.id)] == newest[7:8]


def test_sessions_are_ended_one_by_one_or_all_but_one_or_all_and_never_those_of_others(users: UsersHarness) -> None:
    user, other = users.create("a@example.com"), users.create("b@example.com")
    sessions = {token: users.begin(user, token).id for token in "abcd"}
    users.begin(other, "other")
    assert users.do(end_sessions, EndSessions(user_id=other.id, only=sessions["a"])) == 0
    assert users.do(end_sessions, EndSessions(user_id=user.id, only=sessions["a"])) == 1
    assert users.logged_in(*"abcd", "other") == ["b", "c", "d", "other"]
    assert users.do(end_sessions, EndSessions(user_id=user.id, but=sessions["b"])) == 2
    assert users.logged_in(*"bcd", "other") == ["b", "other"]
    assert users.do(end_sessions, EndSessions(user_id=user.id)) == 1
    assert users.logged_in("b", "other") == ["other"]


def test_expired_sessions_are_deleted_when_another_begins_the_oldest_first_and_at_most_a_hundred(
    users: UsersHarness,
) -> None:
    user = users.create()
    began = users.clock.now
    sessions = [
        make_session(new_session(f"{number}"), user.id, began + number, is_verified=True)
        for number in range(EXPIRED_MAX + 2)
    ]
    with users.database.write() as transaction:
        insert_sessions(transaction, sessions)
    users.clock.now = began + SESSION_MS + EXPIRED_MAX  # All but the last one have expired.
    new = users.begin(user, "new")
    with users.database.read() as transaction:
        left = {row[0] for row in transaction.rows(select(dashboard_session.c.id))}
    assert left == {sessions[-2].id, sessions[-1].id, new.id}


def test_a_session_that_is_begun_again_after_a_lost_commit_is_there_once(users: UsersHarness) -> None:
    user = users.create()
    session = users.begin(user, "a")
    with users.database.write() as transaction:
        insert_sessions(transaction, [session])
        assert transaction.rows(select(func.count()).select_from(dashboard_session))[0][0] == 1
