"""Provider accounts: what they are, and which one a payment uses.

ACTIVE <──> DISABLED        a disabled account takes no new payments, and those that were begun with it go on
"""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.merchants.model import Mode

POSITION_MAX: Final = 1_000_000


class AccountStatus(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


ALLOWED: Final = {
    AccountStatus.ACTIVE: {AccountStatus.DISABLED},
    AccountStatus.DISABLED: {AccountStatus.ACTIVE},
}


class ProviderAccount(msgspec.Struct, frozen=True):
    """An account as it is stored. ``credentials`` are encrypted; ``hints`` is a JSON object that may be shown.

    Accounts with a lower ``position`` are preferred. ``version`` counts the changes.
    """

    id: str
    merchant_id: str
    provider: str
    mode: str
    name: str
    status: str
    credentials: str
    hints: str
    position: int
    version: int
    created_at: Instant
    updated_at: Instant
    disabled_at: Instant | None

    @property
    def is_active(self) -> bool:
        """Whether anything may be sent with the credentials."""
        return self.status == AccountStatus.ACTIVE


class AccountName(msgspec.Struct, frozen=True):
    """The id of an account, and the merchant and the mode that it must have in order to be found; None for any."""

    id: str
    merchant_id: str | None
    mode: Mode | None = None

    def fits(self, account: ProviderAccount) -> bool:
        """Tell whether an account with this id may be found under this name."""
        return self.merchant_id in (None, account.merchant_id) and self.mode in (None, account.mode)
