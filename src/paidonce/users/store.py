"""SQL statements for users and their sessions."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Delete, Select, Table, and_, bindparam, delete, select, update
from sqlalchemy.sql.dml import Insert, ReturningInsert

from paidonce.clock import Instant
from paidonce.database.paging import page_of
from paidonce.database.schema import dashboard_session, dashboard_user
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.users.model import Person, Session, User

EXPIRED_MAX: Final = 100  # Sessions that are deleted at once, whenever a session begins.


def _columns(table: Table, kind: type[User] | type[Session]) -> list[Any]:
    return [table.c[name] for name in kind.__struct_fields__]


_USER_COLUMNS: Final = _columns(dashboard_user, User)
_SESSION_COLUMNS: Final = _columns(dashboard_session, Session)


def _insert_users(dialect: str) -> ReturningInsert[Any]:
    statement = insert_json_rows(dialect, dashboard_user, *User.__struct_fields__)
    return statement.on_conflict_do_nothing().returning(dashboard_user.c.id)


def _insert_sessions(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, dashboard_session, *Session.__struct_fields__)
    # A row with this id is from the same request, in a commit whose result was lost.
    return statement.on_conflict_do_nothing(index_elements=["id"])


def _people_by_token(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", token_hash=str)
    return select(*_USER_COLUMNS, *_SESSION_COLUMNS).where(
        dashboard_session.c.token_hash == wanted.c.token_hash, dashboard_user.c.id == dashboard_session.c.user_id
    )


_INSERT_USERS: Final = Statement(_insert_users)
_INSERT_SESSIONS: Final = Statement(_insert_sessions)
_PEOPLE_BY_TOKEN: Final = Statement(_people_by_token)
_USERS: Final = select(*_USER_COLUMNS)
_USE_SESSION: Final = (
    update(dashboard_session).where(dashboard_session.c.id == bindparam("session_id")).values(used_at=bindparam("now"))
)


def _delete_expired() -> Delete:
    expired = (
        select(dashboard_session.c.id)
        .where(dashboard_session.c.expires_at <= bindparam("now"))
        .order_by(dashboard_session.c.expires_at)
        .limit(EXPIRED_MAX)
    )
    return delete(dashboard_session).where(dashboard_session.c.id.in_(expired))


_DELETE_EXPIRED: Final = _delete_expired()


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which users a page holds, oldest first: those of one merchant or of all, after the user ``starting_after``."""

    limit: int
    merchant_id: str | None = None
    starting_after: str = ""


def insert_users(transaction: Transaction, users: Iterable[User]) -> set[str]:
    """Insert users whose id and e-mail address are new; returns the ids that were inserted."""
    return transaction.column(_INSERT_USERS, {"rows": encode_rows(users)})


def read_users(transaction: Transaction, user_ids: Iterable[str]) -> dict[str, User]:
    """Read users by id. Missing ones are left out."""
    statement = _USERS.where(dashboard_user.c.id.in_(sorted(set(user_ids))))
    return {one.id: one for one in map(_user, transaction.rows(statement))}


def lock_users(transaction: Transaction, user_ids: Iterable[str]) -> dict[str, User]:
    """Read users by id to change them: until the commit nobody else can. On SQLite nobody else can anyway."""
    statement = _USERS.where(dashboard_user.c.id.in_(sorted(set(user_ids)))).order_by(dashboard_user.c.id)
    return {one.id: one for one in map(_user, transaction.rows(statement.with_for_update()))}


def read_user_by_email(transaction: Transaction, email: str) -> User | None:
    """Read the user with an e-mail address."""
    return _one(transaction, _USERS.where(dashboard_user.c.email == email))


def read_user_by_link(transaction: Transaction, link_hash: str) -> User | None:
    """Read the user who has a one-time link. It may have expired."""
    return _one(transaction, _USERS.where(dashboard_user.c.link_hash == link_hash))


def read_user_page(transaction: Transaction, wanted: UserFilter) -> tuple[list[User], bool]:
    """Read a page of users, oldest first, and whether there is a next page."""
    statement = _USERS.where(dashboard_user.c.id > wanted.starting_after).order_by(dashboard_user.c.id)
    if wanted.merchant_id is not None:
        statement = statement.where(dashboard_user.c.merchant_id == wanted.merchant_id)
    found = [_user(row) for row in transaction.rows(statement.limit(wanted.limit + 1))]
    return page_of(found, limit=wanted.limit)


def update_user(transaction: Transaction, before: User, after: User) -> bool:
    """Change a user, if nothing of what is changed was changed meanwhile; returns whether it was."""
    names = [name for name in User.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    unchanged = [dashboard_user.c[name].is_not_distinct_from(getattr(before, name)) for name in names]
    statement = (
        update(dashboard_user)
        .where(and_(dashboard_user.c.id == before.id, *unchanged))
        .values({name: getattr(after, name) for name in names})
        .returning(dashboard_user.c.id)
    )
    return not names or bool(transaction.rows(statement))


def insert_sessions(transaction: Transaction, sessions: Iterable[Session]) -> None:
    """Insert sessions, and delete some of those that have expired."""
    transaction.run(_DELETE_EXPIRED, {"now": transaction.now})
    transaction.run(_INSERT_SESSIONS, {"rows": encode_rows(sessions)})


def read_people(transaction: Transaction, token_hashes: Iterable[str]) -> dict[str, Person]:
    """Read who has sessions with these tokens, by their hashes. Missing ones are left out."""
    wanted = encode_rows({"token_hash": one} for one in token_hashes)
    found = [_person(row) for row in transaction.rows(_PEOPLE_BY_TOKEN, {"wanted": wanted})]
    return {one.session.token_hash: one for one in found}


def read_sessions(transaction: Transaction, user_id: str, limit: int) -> list[Session]:
    """Read the newest sessions of a user."""
    statement = (
        select(*_SESSION_COLUMNS)
        .where(dashboard_session.c.user_id == user_id)
        .order_by(dashboard_session.c.id.desc())
        .limit(limit)
    )
    return [_session(row) for row in transaction.rows(statement)]


def use_session(transaction: Transaction, session_id: str, now: Instant) -> None:
    """Record that a session was used."""
    transaction.run(_USE_SESSION, {"session_id": session_id, "now": now})


def delete_sessions(transaction: Transaction, user_id: str, *, only: str | None = None, but: str | None = None) -> int:
    """Delete the sessions of a user: all, ``only`` one, or all ``but`` one; returns how many."""
    statement = delete(dashboard_session).where(dashboard_session.c.user_id == user_id)
    if only is not None:
        statement = statement.where(dashboard_session.c.id == only)
    if but is not None:
        statement = statement.where(dashboard_session.c.id != but)
    return len(transaction.rows(statement.returning(dashboard_session.c.id)))


def _one(transaction: Transaction, statement: Select[Any]) -> User | None:
    found = transaction.rows(statement)
    return _user(found[0]) if found else None


def _person(row: Sequence[Any]) -> Person:
    width = len(_USER_COLUMNS)
    return Person(user=_user(row[:width]), session=_session(row[width:]))


def _user(row: Sequence[Any]) -> User:
    return User(**dict(zip(User.__struct_fields__, row, strict=True)))


def _session(row: Sequence[Any]) -> Session:
    return Session(**dict(zip(Session.__struct_fields__, row, strict=True)))
