"""``paidonce providers``, which works while a server is running, too."""

import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import click
import msgspec

from paidonce import ids
from paidonce.cli.auditing import CommandEntry, CommandType, run_recorded
from paidonce.cli.opening import FAILURE_EXIT, open_shared_database
from paidonce.clock import system_clock
from paidonce.database.transaction import Transaction
from paidonce.encryption import Keyring, key_finder
from paidonce.errors import MerchantNotFound, PaidonceError, ProviderAccountNotFound, ProviderNotFound
from paidonce.events.model import Cause
from paidonce.ids import secret_bytes
from paidonce.merchants.actions import load_merchants
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.actions import (
    ChangeAccount,
    CreateAccount,
    PreferAccounts,
    change_accounts,
    create_accounts,
    list_accounts,
    load_accounts,
    prefer_accounts,
)
from paidonce.provider_accounts.credentials import find_faults
from paidonce.provider_accounts.model import AccountName, AccountStatus, ProviderAccount
from paidonce.provider_accounts.opening import AccountOpener, Connectors
from paidonce.provider_accounts.schemas import account_response
from paidonce.provider_accounts.store import AccountFilter
from paidonce.providers.base import Connector
from paidonce.providers.registry import CONNECTORS
from paidonce.settings import Settings

PAGE: Final = 1000
INPUT_BYTES_MAX: Final = 64 * 1024  # As of a request's body.
NAME_LENGTH_MAX: Final = 100  # As of an account that is added over HTTP.
ACCOUNT_ID: Final = re.compile(ids.pattern(ids.PROVIDER_ACCOUNT))


class ProviderCommands:
    """The commands. ``connectors`` are those of this release, unless a test gives others."""

    def __init__(self, settings: Settings, connectors: Connectors | None) -> None:
        self._settings = settings
        # Without API keys this is a development machine, where `paidonce dev` makes the key file, too.
        make = secret_bytes if settings.auth == "off" else None
        keyring = Keyring(
            key_finder(settings.encryption_keys, settings.encryption_key_file, make=make), draw=secret_bytes
        )
        self._opener = AccountOpener(
            CONNECTORS if connectors is None else connectors, keyring, settings, clock=system_clock
        )

    def add(self, provider: str, *, merchant_id: str, mode: str, name: str, as_json: bool) -> None:
        """Add an account, and print its id."""
        connector = self._connector(provider)
        if not name.isprintable() or len(name) > NAME_LENGTH_MAX:
            raise click.UsageError(f"A name must have at most {NAME_LENGTH_MAX} characters, all printable.")
        self._read(load_merchants, merchant_id)  # Before anybody types a secret.
        account_id = ids.new_id(ids.PROVIDER_ACCOUNT)
        credentials = _read_credentials(connector, Mode(mode))
        sealed = self._or_fail(
            lambda: self._opener.seal(provider, credentials, merchant_id=merchant_id, account_id=account_id)
        )
        request = CreateAccount(
            id=account_id,
            merchant_id=merchant_id,
            provider=provider,
            mode=Mode(mode),
            name=name or connector.display_name,
            credentials=sealed.credentials,
            hints=sealed.hints,
            cause=Cause.OPERATOR,
        )
        detail = {"mode": mode, "provider": provider, "name": request.name}
        entry = CommandEntry(CommandType.ADD_ACCOUNT, account_id, merchant_id, detail)
        account = self._run(create_accounts, request, lambda _: [entry])
        if as_json:
            click.echo(msgspec.json.encode(account_response(account)).decode())
            return
        # Only the id goes to standard output, so that a script can read it.
        click.echo(f"Added a {mode} account with {connector.display_name} for merchant {merchant_id}.", err=True)
        click.echo(f"Next: paidonce providers check {account.id}", err=True)
        click.echo(account.id)

    def list_all(self, merchant_id: str, *, as_json: bool) -> None:
        """Print the accounts of a merchant, or of all merchants."""
        found: list[ProviderAccount] = []
        before, more = None, True
        with open_shared_database(self._settings) as database, database.read() as transaction:
            while more:
                wanted = AccountFilter(limit=PAGE, merchant_id=merchant_id or None, starting_after=before)
                page, more = list_accounts(transaction, [wanted])[0]
                found += page
                before = found[-1].id if found else None
        if as_json:
            click.echo(msgspec.json.encode([account_response(one) for one in found]).decode())
            return
        for one in found:
            hints = " ".join(f"{name}={hint}" for name, hint in account_response(one).credential_hints.items())
            click.echo(
                f"{one.id}  {one.status:<8}  {one.mode:<4}  {one.provider}  {one.merchant_id}"
                f"  position {one.position}  {hints}  {one.name}"
            )
        if not found:
            click.echo("There are no accounts. Add one: paidonce providers add PROVIDER --merchant ID")

    def check(self, account_id: str) -> None:
        """Call the provider; print what is wrong and exit with 1, or print that nothing is."""
        account = self._load(account_id)
        problems = self._or_fail(lambda: asyncio.run(self._opener.check(account)))
        for problem in problems:
            click.echo(problem)
        if problems:
            sys.exit(FAILURE_EXIT)
        click.echo(f"The provider accepts the credentials of {account_id}.")

    def rotate(self, account_id: str) -> None:
        """Replace the credentials of an account."""
        account = self._load(account_id)
        credentials = _read_credentials(self._connector(account.provider), Mode(account.mode))
        sealed = self._or_fail(
            lambda: self._opener.seal(
                account.provider, credentials, merchant_id=account.merchant_id, account_id=account.id
            )
        )
        self._change(CommandType.ROTATE_ACCOUNT, account_id, credentials=sealed.credentials, hints=sealed.hints)
        click.echo(f"Replaced the credentials of {account_id}. Running servers use them within 5 seconds.")
        click.echo(f"Next: paidonce providers check {account_id}")

    def prefer(self, account_ids: Sequence[str]) -> None:
        """Make accounts the first in their merchant's order of preference."""
        named = tuple(_name(account_id).id for account_id in account_ids)

        def entries_of(preferred: Sequence[ProviderAccount]) -> list[CommandEntry]:
            kind = CommandType.MOVE_ACCOUNT
            return [CommandEntry(kind, one.id, one.merchant_id, {"position": one.position}) for one in preferred]

        for account in self._run(prefer_accounts, PreferAccounts(account_ids=named, cause=Cause.OPERATOR), entries_of):
            click.echo(f"{account.id} has position {account.position}.")

    def disable(self, account_id: str) -> None:
        """Disable an account."""
        self._change(CommandType.DISABLE_ACCOUNT, account_id, status=AccountStatus.DISABLED)
        click.echo(f"Disabled {account_id}. It takes no new payments; those that were begun with it go on.")

    def enable(self, account_id: str) -> None:
        """Enable an account."""
        self._change(CommandType.ENABLE_ACCOUNT, account_id, status=AccountStatus.ACTIVE)
        click.echo(f"Enabled {account_id}.")

    def _connector(self, provider: str) -> Connector:
        connector = self._opener.connectors.get(provider)
        if connector is None:
            known = ", ".join(sorted(self._opener.connectors))
            raise click.UsageError(f"{ProviderNotFound().detail} The providers are: {known}.")
        return connector

    def _load(self, account_id: str) -> ProviderAccount:
        account: ProviderAccount = self._read(load_accounts, _name(account_id))
        return account

    def _change(self, kind: CommandType, account_id: str, **changes: Any) -> None:  # noqa: ANN401 - the fields of ChangeAccount
        def entries_of(changed: ProviderAccount) -> list[CommandEntry]:
            return [CommandEntry(kind, changed.id, changed.merchant_id)]

        request = ChangeAccount(name=_name(account_id), cause=Cause.OPERATOR, **changes)
        self._run(change_accounts, request, entries_of)

    def _read(self, action: Callable[[Transaction, Any], Any], request: object) -> Any:  # noqa: ANN401 - any action's outcome
        with open_shared_database(self._settings) as database, database.read() as transaction:
            return _accepted(action(transaction, [request])[0])

    def _run(
        self,
        action: Callable[[Transaction, Any], Any],
        request: object,
        entries_of: Callable[[Any], Sequence[CommandEntry]],
    ) -> Any:  # noqa: ANN401 - any action's outcome
        """Run an action, and record in the audit log what it does; exit where it refuses."""
        return _accepted(run_recorded(self._settings, action, request, entries_of))

    def _or_fail(self, run: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
        try:
            return run()
        except PaidonceError as error:
            _fail(error.detail)


def _accepted(outcome: Any) -> Any:  # noqa: ANN401 - any action's outcome
    if isinstance(outcome, MerchantNotFound):
        _fail("There is no merchant with this id. Create it first: paidonce merchants create ID")
    if isinstance(outcome, PaidonceError):
        _fail(outcome.detail)
    return outcome


def _name(account_id: str) -> AccountName:
    if not ACCOUNT_ID.fullmatch(account_id):
        _fail(ProviderAccountNotFound().detail)
    return AccountName(account_id, None)


def _read_credentials(connector: Connector, mode: Mode) -> Mapping[str, str]:
    """Ask for each credential at a terminal, or read them from standard input. Exits where they are not valid."""
    given = _ask(connector) if sys.stdin.isatty() else _parse(_read_input())
    faults = find_faults(connector, mode.value, given)
    for fault in faults:
        click.echo(f"paidonce: {fault.pointer.rpartition('/')[2]}: {fault.detail}", err=True)
    if faults:
        sys.exit(FAILURE_EXIT)
    return given


def _ask(connector: Connector) -> dict[str, str]:
    given = {}
    for field in connector.credential_fields:
        label = f"{field.name} ({field.description}{'' if field.is_required else '; may be empty'})"
        value = click.prompt(
            label, hide_input=field.is_secret, default=None if field.is_required else "", show_default=False, err=True
        )
        if value:
            given[field.name] = value.strip()
    return given


def _read_input() -> str:
    """Read standard input. No message repeats a part of it."""
    data = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
    if len(data) > INPUT_BYTES_MAX:
        _fail("Standard input has more than 64 KiB.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        _fail("Standard input is not text in UTF-8.")


def _parse(text: str) -> dict[str, str]:
    """Read a JSON object of strings, or lines ``name=value``. No message repeats a part of the text."""
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except msgspec.DecodeError:
            _fail("Standard input is not a JSON object of strings.")
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    if not all(separator and name.strip() for name, separator, _ in pairs):
        _fail("Every line of standard input must be NAME=VALUE, or the whole a JSON object of strings.")
    given = {name.strip(): value.strip() for name, _, value in pairs}
    if len(given) != len(pairs):
        _fail("Standard input has a name twice.")
    return given


def _fail(message: str) -> NoReturn:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(FAILURE_EXIT)
