"""The first user of a service that somebody tries: an operator, who logs in with a link that `paidonce dev` prints."""

from collections.abc import Sequence
from typing import Final

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.users import store
from paidonce.users.actions import ChangeUser, NewUser, WantedUser, change_users, create_users
from paidonce.users.model import Role
from paidonce.users.store import UserFilter

EMAIL: Final = "dev@localhost"
USERS_MAX: Final = 100  # Who has more has logged in.


class FirstLink(msgspec.Struct, frozen=True):
    """A request for a one-time link for the first user: the id that the user gets, and the hash of the link's token."""

    user_id: str
    link_hash: str


def link_first_users(transaction: Transaction, requests: Sequence[FirstLink]) -> list[bool]:
    """Give the first user a link as long as nobody has logged in; returns whether the link is valid."""
    return [_link(transaction, one) for one in requests]


def _link(transaction: Transaction, request: FirstLink) -> bool:
    users, more = store.read_user_page(transaction, UserFilter(limit=USERS_MAX))
    if more or any(one.last_login_at is not None for one in users):
        return False
    first = next((one for one in users if one.email == EMAIL), None)
    if first is not None:
        change_users(transaction, [ChangeUser(user=WantedUser(first.id, None), link_hash=request.link_hash)])
    elif not users:
        new = NewUser(id=request.user_id, email=EMAIL, role=Role.OPERATOR, merchant_id="", link_hash=request.link_hash)
        create_users(transaction, [new])
    return first is not None or not users
