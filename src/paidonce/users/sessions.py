"""Sessions: begin, find, use and end them."""

from collections.abc import Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.users import store
from paidonce.users.model import Person, Session, hash_token


def load_people(transaction: Transaction, tokens: Sequence[str]) -> list[Person | None]:
    """Read who has a session with each token; None where it is unknown, has ended, or its user is disabled."""
    hashes = [hash_token(one) for one in tokens]
    found = store.read_people(transaction, set(hashes))
    return [_if_live(found.get(one), transaction) for one in hashes]


def _if_live(person: Person | None, transaction: Transaction) -> Person | None:
    if person is None or person.user.disabled_at is not None or not person.session.is_live(transaction.now):
        return None
    return person


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A request to begin a session: its id, the hash of its token, and from where the person came."""

    id: str
    user_id: str
    token_hash: str
    address: str
    user_agent: str
    is_verified: bool
    lifetime_ms: int


def begin_sessions(transaction: Transaction, requests: Sequence[NewSession]) -> list[Session]:
    """Begin sessions of users who have proven who they are."""
    sessions = [
        Session(
            id=one.id,
            user_id=one.user_id,
            token_hash=one.token_hash,
            address=one.address,
            user_agent=one.user_agent,
            created_at=transaction.now,
            used_at=transaction.now,
            expires_at=transaction.now + one.lifetime_ms,
            verified_at=transaction.now if one.is_verified else None,
        )
        for one in requests
    ]
    store.insert_sessions(transaction, sessions)
    return sessions
