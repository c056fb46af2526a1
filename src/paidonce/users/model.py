"""Users, their roles, and their sessions."""

from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.merchants.model import MERCHANT_SCOPES, Caller, Mode, Scope, Tenant

IDLE_MS_MAX: Final = 8 * 3_600_000  # A working day. An unused session ends after it.
SESSION_MS: Final = 7 * 86_400_000  # However much it is used.
SECOND_FACTOR_MS: Final = 5 * 60_000  # For the second factor, after the password.
LINK_MS: Final = 15 * 60_000  # The life of a one-time link.
USED_AT_MS: Final = 60_000  # How often the time of use is written.


class Role(StrEnum):
    """What a person may do. Each role includes those before it; an operator may act for every merchant."""

    VIEWER = "viewer"
    REFUNDS = "refunds"
    ADMIN = "admin"
    OPERATOR = "operator"

    def includes(self, other: "Role") -> bool:
        """Tell whether a person with this role may do what the other role may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: Final = tuple(Role)

_READS: Final = frozenset({Scope.CHECKOUTS_READ, Scope.EVENTS_READ, Scope.PROVIDERS_READ})
SCOPES: Final = {
    Role.VIEWER: _READS,
    Role.REFUNDS: _READS | {Scope.CHECKOUTS_WRITE, Scope.REFUNDS_WRITE},
    Role.ADMIN: MERCHANT_SCOPES,
    Role.OPERATOR: frozenset(Scope),
}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may log in. An operator has no merchant: ``merchant_id`` is empty.

    ``recovery_codes`` is a JSON array of hashes, ``totp_secret`` is encrypted.
    """

    id: str
    merchant_id: str
    email: str
    role: str
    password_hash: str | None = None
    totp_secret: str | None = None
    totp_step: int | None = None
    recovery_codes: str | None = None
    link_hash: str | None = None
    link_expires_at: Instant | None = None
    created_at: Instant
    updated_at: Instant
    last_login_at: Instant | None = None
    disabled_at: Instant | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a user. Only the hash of its token is stored."""

    id: str
    user_id: str
    token_hash: str
    address: str
    user_agent: str
    created_at: Instant
    used_at: Instant
    expires_at: Instant
    verified_at: Instant | None = None

    def is_live(self, now: Instant) -> bool:
        """Tell whether it can be used: neither expired nor idle for too long."""
        return now < self.expires_at and now < self.used_at + IDLE_MS_MAX


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in: the user, and the session with which they came."""

    user: User
    session: Session

    @property
    def role(self) -> Role:
        """Their role."""
        return Role(self.user.role)

    @property
    def is_operator(self) -> bool:
        """Whether they may act for every merchant."""
        return self.role is Role.OPERATOR

    @property
    def actor(self) -> str:
        """How events name them."""
        return f"user:{self.user.id}"

    def may_see(self, merchant_id: str) -> bool:
        """Tell whether a merchant's data are theirs to see."""
        return self.is_operator or self.user.merchant_id == merchant_id

    def caller(self, tenant: Tenant | None) -> Caller:
        """Return the caller as whom they run a call of the API: for a merchant in one mode, or, None, as an operator.

        An operator who acts for a merchant has the scopes of a merchant's key.
        """
        scopes = SCOPES[self.role]
        if tenant is None:
            assert self.is_operator, "only an operator acts for no merchant"
            return Caller(None, scopes, self.user.id, None, self.actor)
        return Caller(tenant.merchant_id, scopes & MERCHANT_SCOPES, self.user.id, Mode(tenant.mode), self.actor)


def hash_token(token: str) -> str:
    """Return the hash that is stored for a token. With 250 random bits a fast hash is as safe as a slow one."""
    return sha256(token.encode()).hexdigest()
