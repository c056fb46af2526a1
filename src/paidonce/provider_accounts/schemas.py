"""What the calls about provider accounts read and respond with."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.http.fields import Fields
from paidonce.http.formats import Limit, MerchantId, check_text, whole
from paidonce.provider_accounts.model import POSITION_MAX, ProviderAccount

AccountId = Annotated[str, whole(ids.pattern(ids.PROVIDER_ACCOUNT))]
ProviderName = Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}", "The provider, such as `stripe`.")]
AccountMode = Annotated[
    Literal["test", "live"], Meta(description="Whether the account moves real money. A merchant's key has its own.")
]
DisplayName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00]*$",
        description="For people; if absent, the provider's name.",
    ),
]
CredentialName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
CredentialValue = Annotated[str, Meta(min_length=1, max_length=8192, pattern=r"^[^\x00]*$")]
Credentials = Annotated[
    dict[CredentialName, CredentialValue],
    Meta(
        min_length=1,
        max_length=16,
        description="The provider's credentials by name. They are stored encrypted and never shown again.",
    ),
]


class CreateAccountBody(Fields, frozen=True, kw_only=True):
    """A merchant's account with a provider."""

    provider: ProviderName
    credentials: Credentials
    merchant_id: MerchantId | None = None
    mode: AccountMode | None = None
    name: DisplayName | None = None

    checks: ClassVar = {"name": check_text}


class RotateAccountBody(Fields, frozen=True, kw_only=True):
    """The new credentials. They replace all that were there."""

    credentials: Credentials


class MoveAccountBody(Fields, frozen=True, kw_only=True):
    """A place in the order of preference. Of two accounts with the same position the older one comes first."""

    position: Annotated[int, Meta(ge=1, le=POSITION_MAX, description="The account with the lowest one is preferred.")]


class AccountCommandBody(Fields, frozen=True, kw_only=True):
    """The body may be absent or ``{}``."""


class ListAccountsParameters(Fields, frozen=True, kw_only=True):
    """Which provider accounts to list, newest first."""

    merchant_id: MerchantId | None = None
    provider: ProviderName | None = None
    mode: AccountMode | None = None
    limit: Limit = 10
    starting_after: AccountId | None = None
    ending_before: AccountId | None = None


class ProviderAccountResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A provider account. ``status`` is ACTIVE or DISABLED.

    ``credentialHints`` has the end of each secret, which tells credentials apart; what is no secret is shown whole.
    The account with the lowest ``position`` is preferred.
    """

    id: str
    merchant_id: str
    provider: str
    mode: str
    name: str
    status: str
    position: int
    credential_hints: dict[str, str]
    created_at: str
    updated_at: str
    disabled_at: str | None


class ProviderAccountPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of provider accounts, newest first."""

    data: list[ProviderAccountResponse]
    has_more: bool


class AccountCheckResponse(msgspec.Struct, frozen=True):
    """What is wrong with an account's credentials, a sentence each; empty where the provider accepts them."""

    problems: list[str]


def account_response(account: ProviderAccount) -> ProviderAccountResponse:
    """Show an account."""
    return ProviderAccountResponse(
        id=account.id,
        merchant_id=account.merchant_id,
        provider=account.provider,
        mode=account.mode,
        name=account.name,
        status=account.status,
        position=account.position,
        credential_hints=msgspec.json.decode(account.hints),
        created_at=format_instant(account.created_at),
        updated_at=format_instant(account.updated_at),
        disabled_at=None if account.disabled_at is None else format_instant(account.disabled_at),
    )
