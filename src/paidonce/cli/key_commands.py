"""The commands for merchants and API keys; each imports its implementation only when it runs."""

import click

from paidonce.cli.environment import read_settings

SCOPES = (
    "checkouts:read",
    "checkouts:write",
    "refunds:write",
    "events:read",
    "webhooks:write",
    "providers:read",
    "providers:write",
    "profile:write",
)
OVERLAP_SECONDS_DEFAULT = 86_400
OVERLAP_SECONDS_MAX = 30 * 86_400


@click.group()
def merchants() -> None:
    """Manage merchants."""


@merchants.command("create")
@click.argument("merchant", metavar="ID")
def merchants_create(merchant: str) -> None:
    """Create a merchant. You choose its id, which is the merchantId of its checkouts."""
    from paidonce.cli.keys import create_merchant

    create_merchant(read_settings(), merchant)


@merchants.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def merchants_list(*, as_json: bool) -> None:
    """List merchants, sorted by id."""
    from paidonce.cli.keys import list_merchants

    list_merchants(read_settings(), as_json=as_json)


@click.group()
def keys() -> None:
    """Manage API keys, which every call needs while PAIDONCE_AUTH=keys."""


@keys.command("create")
@click.argument("merchant", metavar="[ID]", default="")
@click.option(
    "--admin", is_flag=True, help="Create an operator's key, which belongs to no merchant and may do everything."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="A scope of the key; may be repeated. Default: all scopes of a merchant.",
)
@click.option(
    "--live/--test", default=False, help="The mode of the key, which sees data of this mode only. Default: test."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def keys_create(merchant: str, *, admin: bool, scopes: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Create an API key for a merchant or an operator, and print it once."""
    from paidonce.cli.keys import create_key

    if admin == bool(merchant):
        raise click.UsageError("Give either the ID of a merchant or --admin.")
    if admin and scopes:
        raise click.UsageError("An operator's key may do everything. Omit --scope.")
    create_key(read_settings(), merchant, scopes=scopes, live=live, as_json=as_json)


@keys.command("list")
@click.argument("merchant", metavar="[ID]", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def keys_list(merchant: str, *, as_json: bool) -> None:
    """List the API keys of a merchant, or all API keys, newest first. Secrets are never shown."""
    from paidonce.cli.keys import list_keys

    list_keys(read_settings(), merchant, as_json=as_json)


@keys.command("revoke")
@click.argument("key", metavar="KEY_ID")
def keys_revoke(key: str) -> None:
    """Revoke an API key permanently. Running servers refuse it within 5 seconds."""
    from paidonce.cli.keys import revoke_key

    revoke_key(read_settings(), key)


@keys.command("rotate")
@click.argument("key", metavar="KEY_ID")
@click.option(
    "--overlap-seconds",
    default=OVERLAP_SECONDS_DEFAULT,
    show_default=True,
    type=click.IntRange(0, OVERLAP_SECONDS_MAX),
    help="How long the old key stays valid.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def keys_rotate(key: str, *, overlap_seconds: int, as_json: bool) -> None:
    """Replace an API key with a new one, and print the new key once."""
    from paidonce.cli.keys import rotate_key

    rotate_key(read_settings(), key, overlap_seconds=overlap_seconds, as_json=as_json)
