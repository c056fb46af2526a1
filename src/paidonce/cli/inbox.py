"""``paidonce inbox``: lists the webhooks of providers, applies one again, and dismisses one."""

import sys
from typing import NoReturn

import click
import msgspec

from paidonce.cli.auditing import CommandEntry, CommandType, record_command
from paidonce.cli.opening import open_shared_database
from paidonce.database.transaction import Transaction
from paidonce.ids import system_chance
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import Applied
from paidonce.provider_webhooks.model import APPLIED
from paidonce.provider_webhooks.replay import (
    Dismissed,
    DismissWebhook,
    ReplayWebhook,
    describe,
    dismiss_webhooks,
    replay_webhooks,
)
from paidonce.provider_webhooks.schemas import provider_webhook_response
from paidonce.provider_webhooks.store import WebhookName, find_by_id, read_newest
from paidonce.settings import Settings

NOT_APPLIED_EXIT = 1


def list_webhooks(settings: Settings, *, limit: int, applied_too: bool, as_json: bool) -> None:
    """Print webhooks, newest first."""
    with open_shared_database(settings) as database, database.read() as transaction:
        found = read_newest(transaction, limit=limit, applied_too=applied_too)
    if as_json:
        click.echo(msgspec.json.encode([provider_webhook_response(one) for one in found]).decode())
        return
    for one in found:
        shown = provider_webhook_response(one)
        what = shown.result or "WAITING"
        after = f"  next try {shown.next_try_at}" if shown.next_try_at else ""
        click.echo(f"{shown.received_at}  {one.provider}  {one.id}  {one.attempt_key or '-'}  {what}{after}")
    if not found:
        click.echo("There are no webhooks." if applied_too else "All webhooks are applied.")


def replay_webhook(settings: Settings, webhook_id: str, *, provider: str) -> None:
    """Apply a stored webhook; exit 1 where it does not exist or cannot be applied."""
    with open_shared_database(settings) as database, database.write() as transaction:
        name = _find_name(transaction, webhook_id, provider)
        request = ReplayWebhook(
            name=name,
            schedule=LookupSchedule(first_seconds=settings.reconcile_first_seconds),
            chance=system_chance(),
        )
        [outcome] = replay_webhooks(transaction, [request])
        if isinstance(outcome, Applied):
            entry = CommandEntry(CommandType.REPLAY_WEBHOOK, str(name), detail={"result": outcome.result})
            record_command(transaction, entry)
    if not isinstance(outcome, Applied):
        _exit(outcome.detail)
    click.echo(describe(outcome))
    sys.exit(0 if outcome.result in APPLIED else NOT_APPLIED_EXIT)


def dismiss_webhook(settings: Settings, webhook_id: str, *, provider: str) -> None:
    """Dismiss a webhook that was given up; exit 1 where it does not exist or will be tried again."""
    with open_shared_database(settings) as database, database.write() as transaction:
        name = _find_name(transaction, webhook_id, provider)
        [outcome] = dismiss_webhooks(transaction, [DismissWebhook(name)])
        if isinstance(outcome, Dismissed) and outcome.is_new:
            entry = CommandEntry(CommandType.DISMISS_WEBHOOK, str(name), detail={"result": outcome.result})
            record_command(transaction, entry)
    if not isinstance(outcome, Dismissed):
        _exit(outcome.detail)
    click.echo(outcome.detail)


def _find_name(transaction: Transaction, webhook_id: str, provider: str) -> WebhookName:
    """Name the webhook with an id; exit 1 where there is none, and refuse an id that several providers sent."""
    found = [one for one in find_by_id(transaction, webhook_id) if provider in ("", one.provider)]
    if not found:
        _exit(f"webhook {webhook_id} not found")
    if len(found) > 1:
        raise click.UsageError(
            f"Several providers sent this id. Add --provider {' or '.join(sorted(one.provider for one in found))}."
        )
    return WebhookName(found[0].provider, found[0].id)


def _exit(message: str) -> NoReturn:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(NOT_APPLIED_EXIT)
