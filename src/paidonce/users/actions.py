"""Use cases for users: create, list, change, and log in."""

from collections.abc import Sequence

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import EmailTaken, InvalidLink, LastOperator, MerchantNotFound, UserNotFound
from paidonce.merchants.store import read_merchants
from paidonce.users import store
from paidonce.users.model import LINK_MS, Role, Session, User
from paidonce.users.sessions import NewSession, make_session
from paidonce.users.store import UserFilter


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A request to create a user with a one-time link. An operator has no merchant: ``merchant_id`` is empty."""

    id: str
    email: str
    role: Role
    merchant_id: str
    link_hash: str


def create_users(transaction: Transaction, requests: Sequence[NewUser]) -> list[User | EmailTaken | MerchantNotFound]:
    """Create users, who set their password with the link."""
    return [_create(transaction, one) for one in requests]


def _create(transaction: Transaction, new: NewUser) -> User | EmailTaken | MerchantNotFound:
    if new.merchant_id and not read_merchants(transaction, [new.merchant_id]):
        return MerchantNotFound()
    user = User(
        id=new.id,
        merchant_id=new.merchant_id,
        email=new.email,
        role=new.role.value,
        link_hash=new.link_hash,
        link_expires_at=transaction.now + LINK_MS,
        created_at=transaction.now,
        updated_at=transaction.now,
    )
    if store.insert_users(transaction, [user]):
        return user
    known = store.read_user_by_email(transaction, new.email)
    # With this id it is from the same request, in a commit whose result was lost.
    return known if known is not None and known.id == new.id else EmailTaken()


def list_users(transaction: Transaction, requests: Sequence[UserFilter]) -> list[tuple[list[User], bool]]:
    """Read pages of users, and whether each has a next page."""
    return [store.read_user_page(transaction, one) for one in requests]


def load_users_by_email(transaction: Transaction, emails: Sequence[str]) -> list[User | None]:
    """Read users by e-mail address."""
    return [store.read_user_by_email(transaction, one) for one in emails]


def load_users_by_id(transaction: Transaction, requests: Sequence[frozenset[str]]) -> list[dict[str, User]]:
    """Load users, by their ids, whoever they belong to; those that do not exist are left out."""
    return [store.read_users(transaction, request) if request else {} for request in requests]


class WantedUser(msgspec.Struct, frozen=True):
    """A user, who must belong to the merchant to be found; None: to any merchant or to none."""

    id: str
    merchant_id: str | None


def load_users(transaction: Transaction, wanted: Sequence[WantedUser]) -> list[User | UserNotFound]:
    """Read users by id."""
    found = store.read_users(transaction, {one.id for one in wanted})
    return [_visible(found.get(one.id), one) or UserNotFound() for one in wanted]


def _visible(user: User | None, wanted: WantedUser) -> User | None:
    return user if user is not None and wanted.merchant_id in (None, user.merchant_id) else None


class ChangeUser(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change a user: what is None stays. A change of the role or of the password, and disabling the user,
    end all sessions but ``kept_session``.
    """

    user: WantedUser
    role: Role | None = None
    is_disabled: bool | None = None
    link_hash: str | None = None
    password_hash: str | None = None
    kept_session: str | None = None


def change_users(transaction: Transaction, requests: Sequence[ChangeUser]) -> list[User | UserNotFound | LastOperator]:
    """Change users."""
    return [_change(transaction, one) for one in requests]


def _change(transaction: Transaction, request: ChangeUser) -> User | UserNotFound | LastOperator:
    before = _visible(store.lock_users(transaction, [request.user.id]).get(request.user.id), request.user)
    if before is None or (request.role is not None and (request.role is Role.OPERATOR) != (before.merchant_id == "")):
        return UserNotFound()
    if request.is_disabled and before.disabled_at is None and _is_last_operator(transaction, before):
        return LastOperator()
    after = _changed(before, request, transaction.now)
    store.update_user(transaction, before, after)
    if _ends_sessions(before, after):
        store.delete_sessions(transaction, before.id, but=request.kept_session)
    return after


def _changed(before: User, request: ChangeUser, now: Instant) -> User:
    after = msgspec.structs.replace(before, updated_at=now)
    if request.role is not None:
        after = msgspec.structs.replace(after, role=request.role.value)
    if request.is_disabled is not None:
        disabled_at = (before.disabled_at or now) if request.is_disabled else None
        after = msgspec.structs.replace(after, disabled_at=disabled_at)
    if request.link_hash is not None:
        after = msgspec.structs.replace(after, link_hash=request.link_hash, link_expires_at=now + LINK_MS)
    if request.password_hash is not None:
        after = msgspec.structs.replace(after, password_hash=request.password_hash)
    return after


def _ends_sessions(before: User, after: User) -> bool:
    return (
        before.role != after.role
        or before.password_hash != after.password_hash
        or (before.disabled_at is None and after.disabled_at is not None)
    )


def _is_last_operator(transaction: Transaction, user: User) -> bool:
    """Tell whether nobody else could create users in the dashboard any more."""
    if user.merchant_id:
        return False
    operators, _ = store.read_user_page(transaction, UserFilter(limit=100, merchant_id=""))
    return all(one.id == user.id or one.disabled_at is not None for one in operators)


class SetTotp(msgspec.Struct, frozen=True, kw_only=True):
    """A request to set or, with None, to remove the second factor of a user."""

    user_id: str
    secret: str | None
    step: int | None
    recovery_codes: str | None


def set_totp(transaction: Transaction, requests: Sequence[SetTotp]) -> list[User | UserNotFound]:
    """Set the second factors of users."""
    return [_set_totp(transaction, one) for one in requests]


def _set_totp(transaction: Transaction, request: SetTotp) -> User | UserNotFound:
    before = store.lock_users(transaction, [request.user_id]).get(request.user_id)
    if before is None:
        return UserNotFound()
    after = msgspec.structs.replace(
        before,
        totp_secret=request.secret,
        totp_step=request.step,
        recovery_codes=request.recovery_codes,
        updated_at=transaction.now,
    )
    store.update_user(transaction, before, after)
    return after


class UseLink(msgspec.Struct, frozen=True, kw_only=True):
    """A request to use a one-time link: it begins a session. Where it sets a password, it ends all other sessions."""

    link_hash: str
    password_hash: str | None
    session: NewSession


def use_links(transaction: Transaction, requests: Sequence[UseLink]) -> list[User | InvalidLink]:
    """Use one-time links, each once."""
    return [_use_link(transaction, one) for one in requests]


def _use_link(transaction: Transaction, request: UseLink) -> User | InvalidLink:
    before = valid_link(transaction, store.read_user_by_link(transaction, request.link_hash))
    if before is None:
        return InvalidLink()
    is_verified = before.totp_secret is None
    after = msgspec.structs.replace(
        before,
        password_hash=request.password_hash or before.password_hash,
        link_hash=None,
        link_expires_at=None,
        last_login_at=transaction.now if is_verified else before.last_login_at,
        updated_at=transaction.now,
    )
    if not store.update_user(transaction, before, after):
        return InvalidLink()
    if request.password_hash is not None:
        store.delete_sessions(transaction, before.id)
    store.insert_sessions(
        transaction, [make_session(request.session, before.id, transaction.now, is_verified=is_verified)]
    )
    return after


def load_users_by_link(transaction: Transaction, link_hashes: Sequence[str]) -> list[User | InvalidLink]:
    """Read who may use each one-time link."""
    return [valid_link(transaction, store.read_user_by_link(transaction, one)) or InvalidLink() for one in link_hashes]


def valid_link(transaction: Transaction, user: User | None) -> User | None:
    """Return the user if their link may be used: it has not expired, and they are not disabled."""
    if user is None or user.link_expires_at is None or user.disabled_at is not None:
        return None
    return user if transaction.now < user.link_expires_at else None


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """A request to begin a session of a user whose password was verified against ``password_hash``."""

    user_id: str
    password_hash: str
    session: NewSession


def begin_sessions(transaction: Transaction, requests: Sequence[LogIn]) -> list[Session | UserNotFound]:
    """Begin sessions. One with a second factor to come opens only the page that asks for it."""
    return [_begin_session(transaction, one) for one in requests]


def _begin_session(transaction: Transaction, request: LogIn) -> Session | UserNotFound:
    user = store.lock_users(transaction, [request.user_id]).get(request.user_id)
    if user is None or user.disabled_at is not None or user.password_hash != request.password_hash:
        return UserNotFound()
    is_verified = user.totp_secret is None
    session = make_session(request.session, user.id, transaction.now, is_verified=is_verified)
    store.insert_sessions(transaction, [session])
    if is_verified:
        store.update_user(transaction, user, msgspec.structs.replace(user, last_login_at=transaction.now))
    return session


class VerifySession(msgspec.Struct, frozen=True, kw_only=True):
    """A request to replace a session by one that is verified by a second factor: a TOTP code of the time ``step``, or
    a recovery code, after which ``recovery_codes`` are left.
    """

    user: User
    pending_session: str
    session: NewSession
    step: int | None = None
    recovery_codes: str | None = None


def verify_sessions(transaction: Transaction, requests: Sequence[VerifySession]) -> list[Session | UserNotFound]:
    """Verify sessions. A code is used once: of two sessions with the same one, one is verified. A session that has
    ended since the code was checked is not verified, such as one of a user who was disabled.
    """
    return [_verify(transaction, one) for one in requests]


def _verify(transaction: Transaction, request: VerifySession) -> Session | UserNotFound:
    before = store.lock_users(transaction, [request.user.id]).get(request.user.id)
    if before is None or before.disabled_at is not None or _second_factor(before) != _second_factor(request.user):
        return UserNotFound()
    if not store.delete_sessions(transaction, before.id, only=request.pending_session):
        return UserNotFound()
    after = msgspec.structs.replace(
        before,
        last_login_at=transaction.now,
        totp_step=before.totp_step if request.step is None else request.step,
        recovery_codes=before.recovery_codes if request.recovery_codes is None else request.recovery_codes,
    )
    store.update_user(transaction, before, after)
    session = make_session(request.session, before.id, transaction.now, is_verified=True)
    store.insert_sessions(transaction, [session])
    return session


def _second_factor(user: User) -> tuple[str | None, int | None, str | None]:
    """Return what a code is checked against."""
    return user.totp_secret, user.totp_step, user.recovery_codes
