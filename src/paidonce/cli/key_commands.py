"""The commands over merchants and keys; each imports its work when it runs."""

import click

SCOPES = ("checkouts:read", "checkouts:write", "refunds:write", "events:read", "webhooks:write")
OVERLAP_SECONDS_DEFAULT = 86_400
OVERLAP_SECONDS_MAX = 30 * 86_400


@click.group()
def merchants() -> None:
    """Look after merchants: who may have keys."""


@merchants.command("create")
@click.argument("merchant", metavar="ID")
def merchants_create(merchant: str) -> None:
    """Create a merchant; its id is yours to choose, and its checkouts bear it."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import create_merchant

    create_merchant(read_settings(), merchant)


@merchants.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def merchants_list(*, as_json: bool) -> None:
    """List merchants, in the order of their ids."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import list_merchants

    list_merchants(read_settings(), as_json=as_json)


@click.group()
def keys() -> None:
    """Look after keys: what a caller bears while PAIDONCE_AUTH=keys."""


@keys.command("create")
@click.argument("merchant", metavar="[ID]", default="")
@click.option("--admin", is_flag=True, help="An operator's key, of no merchant: it may do everything.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="May be repeated; all if absent.")
@click.option("--live/--test", default=False, help="What the key's name says; test unless told.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def keys_create(merchant: str, *, admin: bool, scopes: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Make a key of a merchant, or an operator's, and show it: it is shown once."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import create_key

    if admin == bool(merchant):
        raise click.UsageError("Say whose: a merchant's ID, or --admin.")
    if admin and scopes:
        raise click.UsageError("An operator's key may do everything: leave --scope out.")
    create_key(read_settings(), merchant, scopes=scopes, live=live, as_json=as_json)


@keys.command("list")
@click.argument("merchant", metavar="[ID]", default="")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def keys_list(merchant: str, *, as_json: bool) -> None:
    """List keys, newest first: a merchant's, or all; never their secrets."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import list_keys

    list_keys(read_settings(), merchant, as_json=as_json)


@keys.command("revoke")
@click.argument("key", metavar="KEY_ID")
def keys_revoke(key: str) -> None:
    """Revoke a key for good; a server that runs knows it within 5 seconds."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import revoke_key

    revoke_key(read_settings(), key)


@keys.command("rotate")
@click.argument("key", metavar="KEY_ID")
@click.option(
    "--overlap-seconds",
    default=OVERLAP_SECONDS_DEFAULT,
    show_default=True,
    type=click.IntRange(0, OVERLAP_SECONDS_MAX),
    help="How long the old key lives on.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def keys_rotate(key: str, *, overlap_seconds: int, as_json: bool) -> None:
    """Put a new key in a key's place and show it: it is shown once."""
    from paidonce.cli import read_settings
    from paidonce.cli.keys import rotate_key

    rotate_key(read_settings(), key, overlap_seconds=overlap_seconds, as_json=as_json)
