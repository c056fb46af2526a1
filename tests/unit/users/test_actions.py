"""Users: created, changed, and logged in."""

import msgspec
import pytest

from paidonce.errors import EmailTaken, InvalidLink, LastOperator, MerchantNotFound, UserNotFound
from paidonce.users.actions import (
    ChangeUser,
    LogIn,
    SetTotp,
    UseLink,
    VerifySession,
    WantedUser,
    begin_sessions,
    change_users,
    create_users,
    list_users,
    load_users,
    load_users_by_email,
    load_users_by_id,
    load_users_by_link,
    set_totp,
    use_links,
    verify_sessions,
)
from paidonce.users.model import LINK_MS, SESSION_MS, Role, Session, User, hash_token
from paidonce.users.store import UserFilter
from tests.unit.users.conftest import UsersHarness, new_session, new_user

ONE, TWO = "$argon2id$one", "$argon2id$two"
SEALED = "v1.sealed"


def load(users: UsersHarness, user: User) -> User:
    found: User = users.do(load_users, WantedUser(user.id, None))
    return found


def use_link(users: UsersHarness, user: User, token: str, password_hash: str | None = None) -> User | InvalidLink:
    link_hash = hash_token(f"link of {user.email}")
    used: User | InvalidLink = users.do(
        use_links, UseLink(link_hash=link_hash, password_hash=password_hash, session=new_session(token))
    )
    return used


# Created


def test_a_user_is_created_with_a_link_and_found_by_id_address_and_link(users: UsersHarness) -> None:
    now = users.clock.now
    user = users.create("a@example.com", Role.REFUNDS)
    assert (user.role, user.merchant_id, user.created_at, user.updated_at) == ("refunds", "m1", now, now)
    assert (user.link_hash, user.link_expires_at) == (hash_token("link of a@example.com"), now + LINK_MS)
    assert (user.password_hash, user.totp_secret, user.last_login_at, user.disabled_at) == (None,) * 4
    assert load(users, user) == user
    assert users.do(load_users_by_email, user.email) == user
    assert users.do(load_users_by_link, user.link_hash) == user
    assert users.do(load_users_by_id, frozenset({user.id, "usr_none"})) == {user.id: user}
    assert users.do(load_users_by_id, frozenset()) == {}
    assert users.do(load_users_by_email, "b@example.com") is None


def test_a_user_of_a_merchant_who_does_not_exist_is_refused_and_an_operator_needs_none(users: UsersHarness) -> None:
    assert isinstance(users.do(create_users, new_user("a@example.com", merchant_id="m_none")), MerchantNotFound)
    assert users.do(load_users_by_email, "a@example.com") is None
    assert users.create("o@example.com", Role.OPERATOR).merchant_id == ""


def test_an_address_belongs_to_one_user_and_the_same_request_again_is_answered_alike(users: UsersHarness) -> None:
    new = new_user("a@example.com")
    created = users.do(create_users, new)
    users.clock.now += 1
    assert users.do(create_users, new) == created
    assert isinstance(users.do(create_users, new_user("a@example.com")), EmailTaken)
    other = msgspec.structs.replace(new_user("b@example.com"), id=new.id)
    assert isinstance(users.do(create_users, other), EmailTaken)


def test_users_are_listed_by_pages_the_oldest_first_for_one_merchant_or_all(users: UsersHarness) -> None:
    operator = users.create("o@example.com", Role.OPERATOR)
    theirs = [users.create(f"{number}@example.com") for number in range(3)]
    assert users.do(list_users, UserFilter(limit=2, merchant_id="m1")) == (theirs[:2], True)
    after = UserFilter(limit=2, merchant_id="m1", starting_after=theirs[1].id)
    assert users.do(list_users, after) == (theirs[2:], False)
    assert users.do(list_users, UserFilter(limit=4)) == ([operator, *theirs], False)
    assert users.do(list_users, UserFilter(limit=4, merchant_id="")) == ([operator], False)


def test_a_user_of_another_merchant_is_neither_found_nor_changed(users: UsersHarness) -> None:
    user, operator = users.create(), users.create("o@example.com", Role.OPERATOR)
    for one in (user, operator):
        assert isinstance(users.do(load_users, WantedUser(one.id, "m2")), UserNotFound)
        change = ChangeUser(user=WantedUser(one.id, "m2"), is_disabled=True)
        assert isinstance(users.do(change_users, change), UserNotFound)
        assert load(users, one) == one
    assert users.do(load_users, WantedUser(user.id, "m1")) == user
    assert isinstance(users.do(load_users, WantedUser("usr_none", None)), UserNotFound)
    assert isinstance(users.do(change_users, ChangeUser(user=WantedUser("usr_none", None))), UserNotFound)


# Changed


def test_what_a_change_does_not_name_stays_as_it_is(users: UsersHarness) -> None:
    user = users.create(password_hash=ONE)
    users.clock.now += 1
    later = users.clock.now
    for changes, expected in (
        ({"role": Role.ADMIN}, {"role": "admin"}),
        ({"password_hash": TWO}, {"password_hash": TWO}),
        ({"link_hash": "new"}, {"link_hash": "new", "link_expires_at": later + LINK_MS}),
        ({"is_disabled": True}, {"disabled_at": later}),
        ({"is_disabled": False}, {"disabled_at": None}),
    ):
        user = msgspec.structs.replace(user, updated_at=later, **expected)
        assert users.change(user, **changes) == user
        assert load(users, user) == user


def test_a_user_who_is_disabled_again_was_disabled_when_it_first_happened(users: UsersHarness) -> None:
    user = users.create()
    first = users.change(user, is_disabled=True).disabled_at
    users.clock.now += 1
    assert users.change(user, is_disabled=True).disabled_at == first


def test_nobody_becomes_an_operator_and_no_operator_another_role(users: UsersHarness) -> None:
    for user, role in ((users.create(), Role.OPERATOR), (users.create("o@example.com", Role.OPERATOR), Role.ADMIN)):
        assert isinstance(users.change(user, role=role), UserNotFound)
        assert load(users, user) == user
        assert users.change(user, role=Role(user.role)).role == user.role


def test_another_role_another_password_and_disabling_end_the_other_sessions_and_nothing_else_does(
    users: UsersHarness,
) -> None:
    users.begin(users.create("bystander@example.com"), "bystander")
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({"role": Role.ADMIN}, ["kept"]),
        ({"password_hash": TWO}, ["kept"]),
        ({"is_disabled": True}, []),
        ({"role": Role.VIEWER}, ["kept", "other"]),
        ({"password_hash": ONE}, ["kept", "other"]),
        ({"is_disabled": False}, ["kept", "other"]),
        ({"link_hash": "new"}, ["kept", "other"]),
    ]
    for number, (changes, left) in enumerate(cases):
        user = users.create(f"{number}@example.com", password_hash=ONE)
        tokens = {f"{name}{number}": users.begin(user, f"{name}{number}").id for name in ("kept", "other")}
        users.change(user, kept_session=tokens[f"kept{number}"], **changes)
        assert users.logged_in(*tokens, "bystander") == [*(f"{name}{number}" for name in left), "bystander"], changes


def test_sessions_that_were_ended_by_disabling_do_not_come_back_with_the_user(users: UsersHarness) -> None:
    user = users.create()
    users.begin(user, "a")
    users.change(user, is_disabled=True)
    users.change(user, is_disabled=False)
    assert users.logged_in("a") == []


def test_the_last_operator_who_can_log_in_is_not_disabled(users: UsersHarness) -> None:
    users.create("user@example.com", Role.ADMIN)
    first, second = [users.create(f"{number}@example.com", Role.OPERATOR) for number in range(2)]
    assert isinstance(users.change(second, is_disabled=True), User)
    assert isinstance(users.change(first, is_disabled=True), LastOperator)
    assert load(users, first).disabled_at is None
    assert isinstance(users.change(second, is_disabled=True), User), "who is disabled already"
    users.change(second, is_disabled=False)
    assert isinstance(users.change(first, is_disabled=True), User)
    admin = users.do(load_users_by_email, "user@example.com")
    assert isinstance(users.change(admin, is_disabled=True), User)


# Logged in


def test_a_link_is_used_once_and_begins_a_session(users: UsersHarness) -> None:
    user = users.create()
    users.clock.now += 1
    used = use_link(users, user, "a")
    assert isinstance(used, User)
    assert (used.link_hash, used.link_expires_at) == (None, None)
    assert (used.last_login_at, used.updated_at, used.password_hash) == (users.clock.now, users.clock.now, None)
    assert load(users, user) == used
    assert isinstance(use_link(users, user, "b"), InvalidLink)
    assert users.logged_in("a", "b") == ["a"]


def test_a_link_with_a_password_ends_all_other_sessions_and_one_without_ends_none(users: UsersHarness) -> None:
    user = users.create(password_hash=ONE)
    users.begin(user, "before")
    assert getattr(use_link(users, user, "a"), "password_hash", None) == ONE
    assert users.logged_in("before", "a") == ["before", "a"]
    users.change(user, link_hash=user.link_hash)
    assert getattr(use_link(users, user, "b", TWO), "password_hash", None) == TWO
    assert users.logged_in("before", "a", "b") == ["b"]


def test_a_link_does_not_replace_the_second_factor(users: UsersHarness) -> None:
    user = users.create()
    users.do(set_totp, SetTotp(user_id=user.id, secret=SEALED, step=7, recovery_codes="[]"))
    used = use_link(users, user, "a")
    assert isinstance(used, User)
    assert used.last_login_at is None
    person = users.person("a")
    assert person is not None
    assert person.session.verified_at is None


def test_a_link_ends_with_its_time_and_when_its_user_is_disabled(users: UsersHarness) -> None:
    user, disabled = users.create(), users.create("b@example.com")
    users.change(disabled, is_disabled=True)
    users.clock.now += LINK_MS - 1
    assert users.do(load_users_by_link, user.link_hash) == user
    for one in (disabled, user):
        users.clock.now += one is user
        assert isinstance(users.do(load_users_by_link, one.link_hash), InvalidLink)
        assert isinstance(use_link(users, one, one.id), InvalidLink)
        assert users.logged_in(one.id) == []
    assert isinstance(users.do(load_users_by_link, hash_token("none")), InvalidLink)


def log_in(users: UsersHarness, user: User, token: str, password_hash: str = ONE) -> Session | UserNotFound:
    request = LogIn(user_id=user.id, password_hash=password_hash, session=new_session(token))
    begun: Session | UserNotFound = users.do(begin_sessions, request)
    return begun


def test_a_log_in_begins_a_session_unless_the_password_was_changed_or_the_user_disabled_meanwhile(
    users: UsersHarness,
) -> None:
    user = users.create(password_hash=ONE)
    users.clock.now += 1
    session = log_in(users, user, "a")
    assert isinstance(session, Session)
    assert (session.user_id, session.verified_at) == (user.id, users.clock.now)
    assert load(users, user).last_login_at == users.clock.now
    assert isinstance(log_in(users, user, "b", TWO), UserNotFound)
    assert isinstance(log_in(users, msgspec.structs.replace(user, id="usr_none"), "c"), UserNotFound)
    users.change(user, is_disabled=True)
    assert isinstance(log_in(users, user, "d"), UserNotFound)
    users.change(user, is_disabled=False)
    assert users.logged_in("b", "c", "d") == []


def with_second_factor(users: UsersHarness, user: User) -> User:
    changed: User = users.do(set_totp, SetTotp(user_id=user.id, secret=SEALED, step=7, recovery_codes='["x"]'))
    return changed


def test_a_second_factor_is_set_and_removed(users: UsersHarness) -> None:
    user = users.create()
    users.clock.now += 1
    changed = with_second_factor(users, user)
    assert (changed.totp_secret, changed.totp_step, changed.recovery_codes) == (SEALED, 7, '["x"]')
    assert changed.updated_at == users.clock.now
    assert load(users, user) == changed
    users.do(set_totp, SetTotp(user_id=user.id, secret=None, step=None, recovery_codes=None))
    removed = load(users, user)
    assert (removed.totp_secret, removed.totp_step, removed.recovery_codes) == (None, None, None)
    wanted = SetTotp(user_id="usr_none", secret=None, step=None, recovery_codes=None)
    assert isinstance(users.do(set_totp, wanted), UserNotFound)


def test_a_password_alone_is_no_log_in_where_a_second_factor_is_set(users: UsersHarness) -> None:
    user = with_second_factor(users, users.create(password_hash=ONE))
    session = log_in(users, user, "a")
    assert isinstance(session, Session)
    assert session.verified_at is None
    assert session.expires_at < users.clock.now + SESSION_MS
    assert load(users, user).last_login_at is None


@pytest.mark.parametrize("code", [{"step": 8}, {"recovery_codes": "[]"}])
def test_of_two_sessions_with_the_same_code_one_is_verified(users: UsersHarness, code: dict[str, object]) -> None:
    user = with_second_factor(users, users.create(password_hash=ONE))
    log_in(users, user, "pending")
    log_in(users, user, "other")
    people = {token: users.person(token) for token in ("pending", "other")}
    users.clock.now += 1

    def verify(token: str, pending: str) -> Session | UserNotFound:
        person = people[pending]
        assert person is not None
        found: Session | UserNotFound = users.do(
            verify_sessions,
            VerifySession(
                user=person.user,
                pending_session=person.session.id,
                session=new_session(token),
                **code,  # type: ignore[arg-type]
            ),
        )
        return found

    first = verify("a", "pending")
    assert isinstance(first, Session)
    assert (first.user_id, first.verified_at) == (user.id, users.clock.now)
    assert isinstance(verify("b", "other"), UserNotFound)
    assert users.logged_in("pending", "other", "a", "b") == ["other", "a"]
    expected = {"totp_step": 7, "recovery_codes": '["x"]', "last_login_at": users.clock.now}
    expected |= {"totp_step" if name == "step" else name: value for name, value in code.items()}
    assert {name: getattr(load(users, user), name) for name in expected} == expected


@pytest.mark.parametrize(
    "change", [{"is_disabled": True}, {"password_hash": TWO}, {"role": Role.ADMIN}, {"is_disabled": False}]
)
def test_a_code_begins_no_session_after_the_one_that_asks_for_it_has_ended(
    users: UsersHarness, change: dict[str, object]
) -> None:
    user = with_second_factor(users, users.create(password_hash=ONE))
    pending = log_in(users, user, "pending")
    assert isinstance(pending, Session)
    users.change(user, **change)
    request = VerifySession(user=user, pending_session=pending.id, session=new_session("a"), step=8)
    verified = users.do(verify_sessions, request)
    users.change(user, is_disabled=False)
    ends_sessions = change != {"is_disabled": False}
    assert isinstance(verified, UserNotFound) == ends_sessions
    assert users.logged_in("a") == ([] if ends_sessions else ["a"])


def test_a_code_of_a_second_factor_that_was_replaced_meanwhile_begins_no_session(users: UsersHarness) -> None:
    user = with_second_factor(users, users.create(password_hash=ONE))
    pending = log_in(users, user, "pending")
    assert isinstance(pending, Session)
    users.do(set_totp, SetTotp(user_id=user.id, secret="v1.another", step=7, recovery_codes='["x"]'))
    request = VerifySession(user=user, pending_session=pending.id, session=new_session("a"), step=8)
    assert isinstance(users.do(verify_sessions, request), UserNotFound)
    assert users.logged_in("pending", "a") == ["pending"]
