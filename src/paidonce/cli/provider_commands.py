"""The commands for accounts with payment providers; each imports its implementation only when it runs.

Credentials are read from a prompt or from standard input, never from arguments, which other processes can see.
"""

import click

from paidonce.cli.environment import read_settings


@click.group()
def providers() -> None:
    """Manage the accounts of merchants with payment providers."""


@providers.command("add")
@click.argument("provider")
@click.option("--merchant", required=True, metavar="ID", help="The merchant that the account belongs to.")
@click.option(
    "--mode",
    type=click.Choice(["test", "live"]),
    default="test",
    show_default=True,
    help="Whether the account moves real money.",
)
@click.option("--name", default="", help="A name for people. Default: the provider's name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def providers_add(context: click.Context, provider: str, *, merchant: str, mode: str, name: str, as_json: bool) -> None:
    """Add an account with a provider, and print its id.

    The credentials are asked for at a terminal. Otherwise standard input has them: lines NAME=VALUE, or a JSON object.
    """
    from paidonce.cli.providers import ProviderCommands

    commands = ProviderCommands(read_settings(), context.obj)
    commands.add(provider, merchant_id=merchant, mode=mode, name=name, as_json=as_json)


@providers.command("list")
@click.option("--merchant", default="", metavar="ID", help="Only the accounts of this merchant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def providers_list(context: click.Context, *, merchant: str, as_json: bool) -> None:
    """List accounts with providers, newest first. Of a secret only the end is shown."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).list_all(merchant, as_json=as_json)


@providers.command("check")
@click.argument("account", metavar="ID")
@click.pass_context
def providers_check(context: click.Context, account: str) -> None:
    """Call the provider with the credentials of an account; exit 1 and print what is wrong if it refuses them."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).check(account)


@providers.command("rotate")
@click.argument("account", metavar="ID")
@click.pass_context
def providers_rotate(context: click.Context, account: str) -> None:
    """Replace the credentials of an account, which are read as by `add`. Servers use them within 5 seconds."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).rotate(account)


@providers.command("prefer")
@click.argument("accounts", metavar="ID...", nargs=-1, required=True)
@click.pass_context
def providers_prefer(context: click.Context, accounts: tuple[str, ...]) -> None:
    """Make accounts the first that their merchant's payments use, in this order. The others keep their order."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).prefer(accounts)


@providers.command("disable")
@click.argument("account", metavar="ID")
@click.pass_context
def providers_disable(context: click.Context, account: str) -> None:
    """Disable an account. It takes no new payments; those that were begun with it go on."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).disable(account)


@providers.command("enable")
@click.argument("account", metavar="ID")
@click.pass_context
def providers_enable(context: click.Context, account: str) -> None:
    """Enable an account that was disabled."""
    from paidonce.cli.providers import ProviderCommands

    ProviderCommands(read_settings(), context.obj).enable(account)
