"""``paidonce inbox``: lists the webhooks of providers, applies one again, and dismisses one."""

import sys
from typing import NoReturn

import click
import msgspec

from paidonce.cli.auditing import record_command
from paidonce.cli.opening import open_shared_database
from paidonce.clock import format_instant
from paidonce.database.transaction import Transaction
from paidonce.ids import system_chance
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import Applied
from paidonce.provider_webhooks.model import APPLIED, ProviderWebhook
from paidonce.provider_webhooks.replay import (
    Dismissed,
    DismissWebhook,
    ReplayWebhook,
    describe,
    dismiss_webhooks,
    replay_webhooks,
)
from paidonce.provider_webhooks.store import WebhookName, find_by_id, read_newest
from paidonce.settings import Settings
from paidonce.users.audit import AuditType

NOT_APPLIED_EXIT = 1


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A webhook in JSON output."""

    provider: str
    id: str
    attempt: str | None
    result: str | None
    tries: int
    received_at: str
    applied_at: str | None
    next_try_at: str | None
    body: str


def list_webhooks(settings: Settings, *, limit: int, applied_too: bool, as_json: bool) -> None:
    """Print webhooks, newest first."""
    with open_shared_database(settings) as database, database.read() as transaction:
        found = read_newest(transaction, limit=limit, applied_too=applied_too)
    if as_json:
        click.echo(msgspec.json.encode([_webhook_row(one) for one in found]).decode())
        return
    for one in found:
        shown = _webhook_row(one)
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
            record_command(transaction, AuditType.WEBHOOK_REPLAYED, str(name), {"result": outcome.result})
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
            record_command(transaction, AuditType.WEBHOOK_DISMISSED, str(name), {"result": outcome.result})
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


def _webhook_row(webhook: ProviderWebhook) -> WebhookRow:
    return WebhookRow(
        provider=webhook.provider,
        id=webhook.id,
        attempt=webhook.attempt_key,
        result=webhook.result,
        tries=webhook.tries,
        received_at=format_instant(webhook.received_at),
        applied_at=None if webhook.applied_at is None else format_instant(webhook.applied_at),
        next_try_at=None if webhook.due_at is None else format_instant(webhook.due_at),
        body=webhook.body,
    )
