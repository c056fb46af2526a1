"""SQL statements for users and their sessions."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.sql.dml import Insert

from paidonce.database.schema import dashboard_session, dashboard_user
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.users.model import Person, Session, User

_USER_COLUMNS: Final = [dashboard_user.c[name] for name in User.__struct_fields__]
_SESSION_COLUMNS: Final = [dashboard_session.c[name] for name in Session.__struct_fields__]


def _insert_users(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, dashboard_user, *User.__struct_fields__)
    # A row with this id is from the same request, in a commit whose result was lost.
    return statement.on_conflict_do_nothing(index_elements=["id"])


def _insert_sessions(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, dashboard_session, *Session.__struct_fields__)
    return statement.on_conflict_do_nothing(index_elements=["id"])


def _people_by_token(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", token_hash=str)
    return select(*_USER_COLUMNS, *_SESSION_COLUMNS).where(
        dashboard_session.c.token_hash == wanted.c.token_hash, dashboard_user.c.id == dashboard_session.c.user_id
    )


_INSERT_USERS: Final = Statement(_insert_users)
_INSERT_SESSIONS: Final = Statement(_insert_sessions)
_PEOPLE_BY_TOKEN: Final = Statement(_people_by_token)


def insert_users(transaction: Transaction, users: Iterable[User]) -> None:
    """Insert users."""
    transaction.run(_INSERT_USERS, {"rows": encode_rows(users)})


def insert_sessions(transaction: Transaction, sessions: Iterable[Session]) -> None:
    """Insert sessions."""
    transaction.run(_INSERT_SESSIONS, {"rows": encode_rows(sessions)})


def read_people(transaction: Transaction, token_hashes: Iterable[str]) -> dict[str, Person]:
    """Read who has sessions with these tokens, by their hashes. Missing ones are left out."""
    wanted = encode_rows({"token_hash": one} for one in token_hashes)
    found = [_person(row) for row in transaction.rows(_PEOPLE_BY_TOKEN, {"wanted": wanted})]
    return {one.session.token_hash: one for one in found}


def _person(row: Sequence[Any]) -> Person:
    width = len(_USER_COLUMNS)
    return Person(user=_user(row[:width]), session=_session(row[width:]))


def _user(row: Sequence[Any]) -> User:
    return User(**dict(zip(User.__struct_fields__, row, strict=True)))


def _session(row: Sequence[Any]) -> Session:
    return Session(**dict(zip(Session.__struct_fields__, row, strict=True)))
