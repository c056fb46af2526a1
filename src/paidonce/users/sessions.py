"""Sessions: begin, find, use and end them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.users import store
from paidonce.users.model import SECOND_FACTOR_MS, SESSION_MS, Person, Session, hash_token

SHOWN_MAX: Final = 50
USER_AGENT_LENGTH_MAX: Final = 200


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session to begin: its id, the hash of its token, and from where the person came."""

    id: str
    token_hash: str
    address: str
    user_agent: str


def make_session(new: NewSession, user_id: str, now: Instant, *, is_verified: bool) -> Session:
    """Return a session of a user. One that is not verified yet lasts a few minutes."""
    return Session(
        id=new.id,
        user_id=user_id,
        token_hash=new.token_hash,
        address=new.address,
        user_agent=new.user_agent[:USER_AGENT_LENGTH_MAX],
        created_at=now,
        used_at=now,
        expires_at=now + (SESSION_MS if is_verified else SECOND_FACTOR_MS),
        verified_at=now if is_verified else None,
    )


def load_people(transaction: Transaction, tokens: Sequence[str]) -> list[Person | None]:
    """Read who has a session with each token; None where it is unknown, has ended, or its user is disabled."""
    hashes = [hash_token(one) for one in tokens]
    found = store.read_people(transaction, set(hashes))
    return [_if_live(found.get(one), transaction) for one in hashes]


def _if_live(person: Person | None, transaction: Transaction) -> Person | None:
    if person is None or person.user.disabled_at is not None or not person.session.is_live(transaction.now):
        return None
    return person


def use_sessions(transaction: Transaction, session_ids: Sequence[str]) -> list[None]:
    """Record that sessions were used, so that they do not end as idle."""
    for one in session_ids:
        store.use_session(transaction, one, transaction.now)
    return [None] * len(session_ids)


def list_sessions(transaction: Transaction, user_ids: Sequence[str]) -> list[list[Session]]:
    """Read the sessions of users that can be used, newest first, at most 50 of each."""
    return [
        [session for session in store.read_sessions(transaction, one, SHOWN_MAX) if session.is_live(transaction.now)]
        for one in user_ids
    ]


class EndSessions(msgspec.Struct, frozen=True, kw_only=True):
    """A request to end sessions of a user: all, ``only`` one, or all ``but`` one."""

    user_id: str
    only: str | None = None
    but: str | None = None


def end_sessions(transaction: Transaction, requests: Sequence[EndSessions]) -> list[int]:
    """End sessions; returns how many. A request with one of them is refused from the commit on, in every process."""
    return [store.delete_sessions(transaction, one.user_id, only=one.only, but=one.but) for one in requests]
