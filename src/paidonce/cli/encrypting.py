"""``paidonce db reencrypt``: encrypts every secret under the first key, so that the other keys can be removed."""

import sys
from typing import Final

import click
import msgspec

from paidonce.cli.opening import FAILURE_EXIT, open_shared_database
from paidonce.database.engine import Database
from paidonce.encryption import Keyring, key_finder
from paidonce.errors import EncryptionKeyMissing
from paidonce.idempotency.model import ScopedKey
from paidonce.idempotency.secrets import open_stored_secret, seal_stored_secret
from paidonce.idempotency.store import read_secrets, replace_secrets
from paidonce.ids import secret_bytes
from paidonce.provider_accounts import store as provider_accounts
from paidonce.provider_accounts.credentials import open_credentials, seal_credentials
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.settings import Settings
from paidonce.users.store import UserFilter, lock_users, read_user_page, update_user
from paidonce.users.totp import open_totp_secret, seal_totp_secret
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.secrets import open_secret, seal_secret
from paidonce.webhook_endpoints.store import change_endpoints, read_all

BATCH: Final = 200  # The service writes at the same time, so transactions must be short.


def reencrypt_secrets(settings: Settings) -> None:
    """Re-encrypt secrets that are not under the first key; exit 1 where a key is missing."""
    find = key_finder(settings.encryption_keys, settings.encryption_key_file, make=None)
    keyring = Keyring(find, draw=secret_bytes)
    with open_shared_database(settings) as database:
        try:
            endpoints = _reencrypt_endpoints(database, keyring)
            accounts = _reencrypt_accounts(database, keyring)
            shown = _reencrypt_stored_secrets(database, keyring)
            users = _reencrypt_second_factors(database, keyring)
        except (EncryptionKeyMissing, ValueError) as error:
            click.echo(f"paidonce: {error}", err=True)
            sys.exit(FAILURE_EXIT)
    click.echo(
        f"Re-encrypted the secrets of {endpoints} webhook endpoints, {accounts} provider accounts, {users} users and "
        f"{shown} stored responses. "
        "All secrets now use the first key."
    )


def _reencrypt_endpoints(database: Database, keyring: Keyring) -> int:
    changed = 0
    after = ""
    while True:
        with database.write() as transaction:
            found = read_all(transaction, after=after, limit=BATCH)
            wanted = {one.id: _reencrypted(keyring, one) for one in found}
            changes = [wanted[one.id] for one in found if wanted[one.id] != one]
            done = change_endpoints(transaction, changes)
        changed += len(done)
        if not found:
            return changed
        # An endpoint that was changed meanwhile is read again, starting after the one before it.
        missed = [one.id for one in changes if one.id not in done]
        after = found[-1].id if not missed else max((one.id for one in found if one.id < missed[0]), default=after)


def _reencrypt_accounts(database: Database, keyring: Keyring) -> int:
    changed = 0
    after = ""
    while True:
        with database.write() as transaction:
            found = provider_accounts.read_all(transaction, after=after, limit=BATCH)
            changes = [_reencrypted_account(keyring, one) for one in found if not keyring.is_current(one.credentials)]
            done = provider_accounts.change_accounts(transaction, changes)
        changed += len(done)
        if not found:
            return changed
        # An account that was changed meanwhile is read again, starting after the one before it.
        missed = [one.id for one in changes if one.id not in done]
        after = found[-1].id if not missed else max((one.id for one in found if one.id < missed[0]), default=after)


def _reencrypted_account(keyring: Keyring, account: ProviderAccount) -> ProviderAccount:
    credentials = open_credentials(keyring, account)
    sealed = seal_credentials(keyring, credentials, merchant_id=account.merchant_id, account_id=account.id)
    return msgspec.structs.replace(account, credentials=sealed)


def _reencrypt_stored_secrets(database: Database, keyring: Keyring) -> int:
    """Re-encrypt the secrets of idempotency keys. New ones are stored under the first key anyway."""
    changed = 0
    after = ScopedKey("", "", "")
    while True:
        with database.write() as transaction:
            found = read_secrets(transaction, after=after, limit=BATCH)
            changes = [
                (name, old, seal_stored_secret(keyring, open_stored_secret(keyring, old, name), name))
                for name, old in found.items()
                if not keyring.is_current(old)
            ]
            replace_secrets(transaction, changes)
        if not found:
            return changed
        changed += len(changes)
        after = list(found)[-1]


def _reencrypt_second_factors(database: Database, keyring: Keyring) -> int:
    changed = 0
    after, more = "", True
    while more:
        with database.write() as transaction:
            found, more = read_user_page(transaction, UserFilter(limit=BATCH, starting_after=after))
            for user in lock_users(transaction, [one.id for one in found]).values():
                if user.totp_secret is not None and not keyring.is_current(user.totp_secret):
                    sealed = seal_totp_secret(keyring, open_totp_secret(keyring, user.totp_secret, user.id), user.id)
                    update_user(transaction, user, msgspec.structs.replace(user, totp_secret=sealed))
                    changed += 1
        after = found[-1].id if found else after
    return changed


def _reencrypted(keyring: Keyring, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Encrypt an endpoint's secrets under the first key. Those that already are stay as they are."""

    def reencrypt(sealed: str | None) -> str | None:
        if sealed is None or keyring.is_current(sealed):
            return sealed
        secret = open_secret(keyring, sealed, endpoint)
        return seal_secret(keyring, secret, merchant_id=endpoint.merchant_id, endpoint_id=endpoint.id)

    return msgspec.structs.replace(
        endpoint, secret=reencrypt(endpoint.secret), former_secret=reencrypt(endpoint.former_secret)
    )
