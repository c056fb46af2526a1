"""A database with users, and a clock that a test moves."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from paidonce import ids
from paidonce.database.engine import open_database
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.merchants.actions import create_merchants
from paidonce.users.actions import ChangeUser, NewUser, WantedUser, change_users, create_users
from paidonce.users.model import Person, Role, Session, User, hash_token
from paidonce.users.sessions import NewSession, load_people, make_session
from paidonce.users.store import insert_sessions
from tests.support.doubles import SettableClock


class UsersHarness:
    """Runs actions in transactions of their own."""

    def __init__(self, url: str) -> None:
        self.clock = SettableClock()
        self.database = open_database(parse_database_url(url), clock=self.clock)
        self.do(create_merchants, "m1")

    def do(self, action: Callable[[Transaction, Any], Any], *requests: object) -> Any:  # noqa: ANN401 - any outcome
        """Run an action on requests; returns the last outcome."""
        with self.database.write() as transaction:
            return action(transaction, requests)[-1]

    def create(self, email: str = "a@example.com", role: Role = Role.VIEWER, *, password_hash: str = "") -> User:
        """Create a user of the merchant m1, or an operator, with the one-time link "link of" and the address."""
        merchant_id = "" if role is Role.OPERATOR else "m1"
        user: User = self.do(create_users, new_user(email, role, merchant_id))
        return self.change(user, password_hash=password_hash) if password_hash else user

    def change(self, user: User, **changes: Any) -> Any:  # noqa: ANN401 - an outcome
        return self.do(change_users, ChangeUser(user=WantedUser(user.id, None), **changes))

    def begin(self, user: User, token: str) -> Session:
        """Begin a session of a user as it is after a log-in."""
        with self.database.write() as transaction:
            session = make_session(new_session(token), user.id, transaction.now, is_verified=True)
            insert_sessions(transaction, [session])
        return session

    def person(self, token: str) -> Person | None:
        """Return who has the session with a token."""
        found: Person | None = self.do(load_people, token)
        return found

    def logged_in(self, *tokens: str) -> list[str]:
        """Return those tokens whose sessions can be used."""
        return [one for one in tokens if self.person(one) is not None]


def new_user(email: str, role: Role = Role.VIEWER, merchant_id: str = "m1") -> NewUser:
    link_hash = hash_token(f"link of {email}")
    return NewUser(id=ids.new_id(ids.USER), email=email, role=role, merchant_id=merchant_id, link_hash=link_hash)


def new_session(token: str, *, user_agent: str = "browser") -> NewSession:
    return NewSession(
        id=ids.new_id(ids.USER_SESSION), token_hash=hash_token(token), address="192.0.2.1", user_agent=user_agent
    )


@pytest.fixture
def users(migrated_database_url: str) -> Iterator[UsersHarness]:
    harness = UsersHarness(migrated_database_url)
    with closing(harness.database):
        yield harness
