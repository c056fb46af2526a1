"""The commands for people who use the dashboard; each imports its implementation only when it runs."""

import click

from paidonce.cli.environment import read_settings

ROLES = ("viewer", "refunds", "admin", "operator")


@click.group()
def users() -> None:
    """Manage people who use the dashboard. A password is never given to a command: people set it with a link."""


@users.command("create")
@click.argument("email", metavar="EMAIL")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the person may do.")
@click.option("--merchant", default="", metavar="ID", help="The merchant whose data they see; none for an operator.")
def users_create(email: str, *, role: str, merchant: str) -> None:
    """Create a user, and print a one-time link with which they log in and set a password."""
    from paidonce.cli.users import create_user

    if (role == "operator") == bool(merchant):
        raise click.UsageError("An operator belongs to no merchant. Every other role needs --merchant ID.")
    create_user(read_settings(), email, role=role, merchant_id=merchant)


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def users_list(*, as_json: bool) -> None:
    """List users, oldest first."""
    from paidonce.cli.users import list_users

    list_users(read_settings(), as_json=as_json)


@users.command("disable")
@click.argument("user", metavar="EMAIL")
def users_disable(user: str) -> None:
    """Disable a user, and end all of their sessions."""
    from paidonce.cli.users import disable_user

    disable_user(read_settings(), user, is_disabled=True)


@users.command("enable")
@click.argument("user", metavar="EMAIL")
def users_enable(user: str) -> None:
    """Enable a user who was disabled."""
    from paidonce.cli.users import disable_user

    disable_user(read_settings(), user, is_disabled=False)


@users.command("role")
@click.argument("user", metavar="EMAIL")
@click.argument("role", type=click.Choice(ROLES[:-1]), metavar="ROLE")
def users_role(user: str, role: str) -> None:
    """Change the role of a merchant's user (viewer, refunds or admin), and end all of their sessions."""
    from paidonce.cli.users import change_role

    change_role(read_settings(), user, role)


@users.command("link")
@click.argument("user", metavar="EMAIL")
@click.option(
    "--reset-second-factor", is_flag=True, help="Remove the second factor too, for somebody who has lost the device."
)
def users_link(user: str, *, reset_second_factor: bool) -> None:
    """Print a one-time link with which a user logs in and may set a new password. It is valid for 15 minutes."""
    from paidonce.cli.users import print_link

    print_link(read_settings(), user, reset_second_factor=reset_second_factor)


@users.command("end-sessions")
@click.argument("user", metavar="EMAIL")
def users_end_sessions(user: str) -> None:
    """End all sessions of a user. Running servers refuse them at once."""
    from paidonce.cli.users import end_all_sessions

    end_all_sessions(read_settings(), user)
