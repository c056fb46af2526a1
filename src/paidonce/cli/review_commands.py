"""The commands for attempts and webhooks that wait for a person; each imports its implementation only when it runs."""

import click

from paidonce.cli.environment import read_settings


@click.group()
def review() -> None:
    """Review attempts whose outcome is unknown."""


@review.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def review_list(*, as_json: bool) -> None:
    """List attempts that need review, then attempts that are still being looked up, oldest first."""
    from paidonce.cli.reviewing import list_unproven

    list_unproven(read_settings(), as_json=as_json)


@review.command("resolve")
@click.argument("attempt")
@click.option("--succeeded", metavar="REFERENCE", help="It took place. The provider's reference for it.")
@click.option("--declined", metavar="CODE", help="It did not and will not take place. The decline code.")
def review_resolve(attempt: str, *, succeeded: str | None, declined: str | None) -> None:
    """Record the outcome of an attempt that a person has confirmed with the provider."""
    from paidonce.cli.reviewing import resolve

    resolve(read_settings(), attempt, reference=succeeded, decline_code=declined)


@click.group()
def inbox() -> None:
    """Manage the webhooks that providers sent."""


@inbox.command("list")
@click.option("--all", "applied_too", is_flag=True, help="Include webhooks that are applied.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inbox_list(*, applied_too: bool, limit: int, as_json: bool) -> None:
    """List stored webhooks that are not applied, newest first."""
    from paidonce.cli.inbox import list_webhooks

    list_webhooks(read_settings(), limit=limit, applied_too=applied_too, as_json=as_json)


@inbox.command("replay")
@click.argument("webhook", metavar="ID")
@click.option("--provider", default="", help="The provider, if several providers sent a webhook with this id.")
def inbox_replay(webhook: str, *, provider: str) -> None:
    """Apply a stored webhook now, even if it was applied before or given up."""
    from paidonce.cli.inbox import replay_webhook

    replay_webhook(read_settings(), webhook, provider=provider)


@inbox.command("dismiss")
@click.argument("webhook", metavar="ID")
@click.option("--provider", default="", help="The provider, if several providers sent a webhook with this id.")
def inbox_dismiss(webhook: str, *, provider: str) -> None:
    """List a webhook that was given up no longer, after you have dealt with it at the provider."""
    from paidonce.cli.inbox import dismiss_webhook

    dismiss_webhook(read_settings(), webhook, provider=provider)
