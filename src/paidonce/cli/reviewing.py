"""``paidonce review``: lists attempts with an unconfirmed outcome, and records what a person found out."""

import sys

import click
import msgspec

from paidonce.cli.auditing import CommandEntry, CommandType, record_command
from paidonce.cli.opening import open_shared_database
from paidonce.errors import AttemptNotFound, AttemptOutcomeKnown
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.review import ListAttempts, ResolveAttempt, list_attempts, resolve_attempts
from paidonce.payments.review_schemas import attempt_response
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.evidence import Declined, Succeeded
from paidonce.settings import Settings

LIST_MAX = 1000
NOTHING_CHANGED_EXIT = 1


def list_unproven(settings: Settings, *, as_json: bool) -> None:
    """List attempts that need review, then attempts that are still being looked up, each oldest first."""
    with open_shared_database(settings) as database, database.read() as transaction:
        statuses = (AttemptStatus.NEEDS_REVIEW, AttemptStatus.UNKNOWN)
        pages = list_attempts(transaction, [ListAttempts(status=one, limit=LIST_MAX) for one in statuses])
        attempts = [attempt for page, _ in pages for attempt in page]
        now = transaction.now
    if as_json:
        shown = msgspec.json.encode([attempt_response(one) for one in attempts])
        click.echo(msgspec.json.format(shown, indent=2).decode())
        return
    if not attempts:
        click.echo("No attempt has an unknown outcome.")
        return
    oldest = max(now - attempt.created_at for attempt in attempts)
    click.echo(f"{len(attempts)} with an unknown outcome, the oldest for {oldest // 1000} s:")
    for attempt in attempts:
        click.echo(
            f"  {attempt.id}  {attempt.status:<12}  {attempt.kind:<9}  {attempt.amount:>12} {attempt.currency}"
            f"  {attempt.route}  {attempt.merchant_id}  {attempt.checkout_id}  look-ups: {attempt.lookup_count}"
        )
    click.echo(
        "After the provider has confirmed an outcome:\n"
        "  paidonce review resolve ATTEMPT --succeeded REFERENCE | --declined CODE"
    )


def resolve(settings: Settings, attempt_id: str, *, reference: str | None, decline_code: str | None) -> None:
    """Record what a person learned from the provider about an attempt."""
    if (reference is None) == (decline_code is None):
        raise click.UsageError("Give either --succeeded REFERENCE or --declined CODE.")
    request = ResolveAttempt(
        name=TenantScopedId(attempt_id, None),
        evidence=Succeeded(reference) if reference is not None else Declined(decline_code or ""),
        schedule=LookupSchedule(first_seconds=settings.reconcile_first_seconds),
    )
    with open_shared_database(settings) as database, database.write() as transaction:
        [outcome] = resolve_attempts(transaction, [request])
        if isinstance(outcome, Attempt):
            record_command(transaction, _entry(outcome, reference, decline_code))
    match outcome:
        case AttemptNotFound():
            click.echo(
                f"paidonce: There is no attempt {attempt_id}. Attempts to review: paidonce review list", err=True
            )
            sys.exit(NOTHING_CHANGED_EXIT)
        case AttemptOutcomeKnown():
            click.echo(f"paidonce: {outcome.detail}", err=True)
            sys.exit(NOTHING_CHANGED_EXIT)
        case Attempt():
            click.echo(f"{attempt_id} is {outcome.status} now.")
        case _:
            raise outcome


def _entry(attempt: Attempt, reference: str | None, decline_code: str | None) -> CommandEntry:
    found = (
        {"outcome": "SUCCEEDED", "reference": reference}
        if decline_code is None
        else {"outcome": "DECLINED", "declineCode": decline_code}
    )
    return CommandEntry(CommandType.RESOLVE_ATTEMPT, attempt.id, attempt.merchant_id, found)
