"""A database with provider accounts, whose clock stands still until it is moved."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import select

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import event
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.encryption import KEY_BYTES, Keyring
from paidonce.errors import PaidonceError
from paidonce.events.model import Cause
from paidonce.ids import secret_bytes
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.actions import (
    ChangeAccount,
    ChooseAccount,
    CreateAccount,
    PreferAccounts,
    change_accounts,
    choose_accounts,
    create_accounts,
    load_accounts,
    prefer_accounts,
)
from paidonce.provider_accounts.model import AccountName, ProviderAccount
from paidonce.provider_accounts.opening import AccountOpener
from paidonce.settings import Settings
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.support.databases import make_schema
from tests.support.fake_connector import CREDENTIALS, FakeConnector

NOW: Final = 1_700_000_000_000


class AccountHarness:
    """``opener`` encrypts with a key of this harness; ``fake`` is the only provider that it knows."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.database: Database = self.connect(url)
        make_schema(self.database)
        self.fake = FakeConnector()
        self.keys = [bytes(KEY_BYTES)]
        self.opener = self.new_opener()

    def connect(self, url: str) -> Database:
        """Open the database once more, as another process does."""
        return open_database(
            parse_database_url(url),
            clock=lambda: self.now,
            before_commit=write_events_and_deliveries,
            exclusive=False,
        )

    def new_opener(self, **settings: Any) -> AccountOpener:  # noqa: ANN401 - as Settings takes them
        keyring = Keyring(lambda: self.keys, draw=secret_bytes)
        return AccountOpener(self.fake.connectors, keyring, Settings(**settings), clock=lambda: self.now)

    def do(self, action: Callable[[Transaction, Any], Any], *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def new(self, merchant_id: str = "m1", **fields: Any) -> CreateAccount:  # noqa: ANN401 - as CreateAccount takes them
        account_id = ids.new_id(ids.PROVIDER_ACCOUNT)
        credentials = fields.pop("credentials", CREDENTIALS)
        sealed = self.opener.seal("fake", credentials, merchant_id=merchant_id, account_id=account_id)
        values = {"provider": "fake", "mode": Mode.TEST, "name": "The Fake", **fields}
        return CreateAccount(
            id=account_id,
            merchant_id=merchant_id,
            credentials=sealed.credentials,
            hints=sealed.hints,
            **values,
        )

    def create(self, merchant_id: str = "m1", **fields: Any) -> ProviderAccount:  # noqa: ANN401 - as above
        created: ProviderAccount = self.do(create_accounts, self.new(merchant_id, **fields))[0]
        return created

    def change(self, account: ProviderAccount, **changes: Any) -> ProviderAccount:  # noqa: ANN401 - as ChangeAccount takes them
        name = AccountName(account.id, account.merchant_id)
        changed: ProviderAccount = self.do(change_accounts, ChangeAccount(name=name, **changes))[0]
        return changed

    def rotated(self, account: ProviderAccount, credentials: dict[str, str]) -> dict[str, str]:
        """Give the changes that replace an account's credentials."""
        sealed = self.opener.seal("fake", credentials, merchant_id=account.merchant_id, account_id=account.id)
        return {"credentials": sealed.credentials, "hints": sealed.hints}

    def load(self, account: ProviderAccount) -> ProviderAccount:
        found: ProviderAccount = self.do(load_accounts, AccountName(account.id, account.merchant_id))[0]
        return found

    def choose(
        self, *accounts: ProviderAccount, mode: Mode = Mode.TEST, provider: str | None = None
    ) -> list[ProviderAccount] | PaidonceError:
        """Choose the accounts of a payment of merchant m1 that names these accounts."""
        wanted = ChooseAccount(
            merchant_id="m1", mode=mode, provider=provider, account_ids=tuple(one.id for one in accounts)
        )
        chosen: list[ProviderAccount] | PaidonceError = self.do(choose_accounts, wanted)[0]
        return chosen

    def prefer(self, *accounts: ProviderAccount) -> list[ProviderAccount] | PaidonceError:
        """Make accounts the first in the order of preference, as an operator does."""
        moved: list[ProviderAccount] | PaidonceError = self.do(
            prefer_accounts, PreferAccounts(account_ids=tuple(one.id for one in accounts), cause=Cause.OPERATOR)
        )[0]
        return moved

    def events(self, merchant_id: str = "m1") -> Sequence[tuple[str, str, dict[str, str]]]:
        """Return the type, the cause and the detail of each event of a merchant."""
        wanted = select(event.c.type, event.c.cause, event.c.detail).where(event.c.merchant_id == merchant_id)
        with self.database.read() as transaction:
            rows = transaction.rows(wanted.order_by(event.c.sequence))
        return [(row.type, row.cause, json.loads(row.detail)) for row in rows]
