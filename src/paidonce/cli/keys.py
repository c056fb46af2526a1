"""``paidonce merchants`` and ``paidonce keys``, which work while a server is running, too."""

import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import click
import msgspec

from paidonce import ids
from paidonce.cli.auditing import CommandEntry, CommandType, run_recorded
from paidonce.cli.opening import open_shared_database
from paidonce.clock import format_instant
from paidonce.database.transaction import Transaction
from paidonce.errors import PaidonceError
from paidonce.merchants import actions
from paidonce.merchants.actions import IssuedKey, MerchantFilter, NewKey, RevokeKey, RotateKey
from paidonce.merchants.model import MERCHANT_ID, MERCHANT_SCOPES, OPERATOR, ApiKey, Mode, Scope
from paidonce.merchants.schemas import issued_key_response, key_response, merchant_response
from paidonce.merchants.secret import RANDOM_LENGTH
from paidonce.merchants.store import KeyFilter
from paidonce.settings import Settings

FAILURE_EXIT: Final = 1
PAGE: Final = 1000


def create_merchant(settings: Settings, merchant_id: str) -> None:
    """Create a merchant, and print a message."""
    if not MERCHANT_ID.fullmatch(merchant_id):
        raise click.UsageError("The id of a merchant must be 1 to 128 printable ASCII characters without spaces.")
    entry = CommandEntry(CommandType.CREATE_MERCHANT, merchant_id, merchant_id)
    made = _run_action(settings, actions.create_merchants, merchant_id, lambda _: entry)
    click.echo(f"Created merchant {merchant_id}." if made.is_new else f"Merchant {merchant_id} already exists.")
    click.echo(f"Next: paidonce keys create {merchant_id}")


def list_merchants(settings: Settings, *, as_json: bool) -> None:
    """Print every merchant."""
    found = []
    after, more = "", True
    with open_shared_database(settings) as database, database.read() as transaction:
        while more:
            page, more = actions.list_merchants(transaction, [MerchantFilter(PAGE, after)])[0]
            found += page
            after = found[-1].id if found else ""
    if as_json:
        click.echo(msgspec.json.encode([merchant_response(one) for one in found]).decode())
        return
    for one in found:
        click.echo(f"{format_instant(one.created_at)}  {one.id}")
    if not found:
        click.echo("There are no merchants. Create one: paidonce merchants create ID")


def create_key(settings: Settings, merchant_id: str, *, scopes: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Create a key and print its secret. Without a merchant it is an operator key."""
    wanted = frozenset(Scope(one) for one in scopes) or (MERCHANT_SCOPES if merchant_id else frozenset(Scope))
    new = NewKey(
        id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        merchant_id=merchant_id or OPERATOR,
        mode=Mode.LIVE if live else Mode.TEST,
        scopes=wanted,
    )
    detail = {"mode": new.mode.value, "scopes": sorted(wanted)}
    entry = CommandEntry(CommandType.CREATE_KEY, new.id, merchant_id, detail)
    _show_issued(_run_action(settings, actions.create_keys, new, lambda _: entry), as_json=as_json)


def list_keys(settings: Settings, merchant_id: str, *, as_json: bool) -> None:
    """Print a merchant's keys, or all."""
    found: list[ApiKey] = []
    before, more = None, True
    with open_shared_database(settings) as database, database.read() as transaction:
        now = transaction.now
        while more:
            wanted = KeyFilter(limit=PAGE, merchant_id=merchant_id or None, starting_after=before, operators=True)
            page, more = actions.list_keys(transaction, [wanted])[0]
            found += page
            before = found[-1].id if found else None
    if as_json:
        click.echo(msgspec.json.encode([key_response(one, now) for one in found]).decode())
        return
    for one in found:
        until = f" until {format_instant(one.expires_at)}" if one.expires_at is not None else ""
        click.echo(
            f"{one.id}  {one.shown:<14}  {one.status(now):<7}{until}  {one.merchant_id or 'operator'}  {one.scopes}"
        )
    if not found:
        click.echo("There are no API keys. Create one: paidonce keys create ID")


def revoke_key(settings: Settings, key_id: str) -> None:
    """Revoke a key, and print a message."""

    def entry_of(revoked: ApiKey) -> CommandEntry:
        return CommandEntry(CommandType.REVOKE_KEY, key_id, revoked.merchant_id)

    _run_action(settings, actions.revoke_keys, RevokeKey(id=key_id, operators=True), entry_of)
    click.echo(f"Revoked {key_id}. Running servers refuse it within 5 seconds.")


def rotate_key(settings: Settings, key_id: str, *, overlap_seconds: int, as_json: bool) -> None:
    """Replace a key with a new one, and print its secret."""
    request = RotateKey(
        id=key_id,
        new_id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        overlap_seconds=overlap_seconds,
        operators=True,
    )

    def entry_of(issued: IssuedKey) -> CommandEntry:
        detail = {"overlapSeconds": overlap_seconds, "newKey": issued.key.id}
        return CommandEntry(CommandType.ROTATE_KEY, key_id, issued.key.merchant_id, detail)

    _show_issued(_run_action(settings, actions.rotate_keys, request, entry_of), as_json=as_json)
    if not as_json:
        click.echo(f"{key_id} stays valid for {overlap_seconds} seconds.", err=True)


def _run_action(
    settings: Settings,
    action: Callable[[Transaction, Any], Any],
    request: object,
    entry_of: Callable[[Any], CommandEntry],
) -> Any:  # noqa: ANN401 - any action's outcome
    """Run an action, and record it in the audit log; exit where it refuses."""
    outcome = run_recorded(settings, action, request, lambda done: [entry_of(done)])
    if isinstance(outcome, PaidonceError):
        _fail(outcome)
    return outcome


def _fail(error: PaidonceError) -> NoReturn:
    click.echo(f"paidonce: {error.detail}", err=True)
    sys.exit(FAILURE_EXIT)


def _show_issued(issued: IssuedKey, *, as_json: bool) -> None:
    key = issued.key
    if as_json:
        click.echo(msgspec.json.encode(issued_key_response(issued, key.created_at)).decode())
        return
    # Only the secret goes to standard output, so that a script can read it.
    owner = f"for merchant {key.merchant_id}" if key.merchant_id else "for an operator"
    click.echo(f"Created {key.id} {owner}, with the scopes: {key.scopes}", err=True)
    click.echo("The key is shown only once, and only its hash is stored:", err=True)
    click.echo(issued.secret)
