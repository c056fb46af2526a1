"""The report: a page that a manager can read; ``--json`` gives the same to a machine."""

from typing import Final

from paidonce.proving.outcome import Outcome, Verdict

SENTENCES: Final = {
    Verdict.KEPT: "Proven: no guarantee was violated.",
    Verdict.NOT_PROVEN: "Not proven: no guarantee was violated, but not every fault and payment method occurred.",
    Verdict.BROKEN: "A GUARANTEE WAS VIOLATED. Run the command above again to reproduce it.",
}


def render(outcome: Outcome) -> str:
    """Write the report."""
    violations = outcome.violations
    promises = [
        ("Charged twice", len(violations.charged_twice)),
        ("Lost", len(violations.lost)),
        ("Stuck", len(violations.stuck)),
        ("Other violations", len(violations.wrong)),
        ("Unexpected responses", len(outcome.unexpected)),
    ]
    limit = outcome.end_seconds_max
    stopped = f"{outcome.stops} workers stopped beyond their lease"
    lines = [
        f"paidonce with {outcome.provider} on {outcome.database}, seed {outcome.seed}, {outcome.seconds:.0f} seconds",
        outcome.command,
        "",
        f"  Purchases       {outcome.checkouts:>7}   {_shares(outcome.statuses)}",
        f"  Payments        {outcome.payments:>7}   {_shares(outcome.methods)}",
        f"  Requests        {outcome.requests:>7}   {outcome.repeats} of them retries without a response",
        f"  Kills           {outcome.kills:>7}   {outcome.writer_kills} of them writer processes; and {stopped}",
        f"  Downtime        {outcome.down_seconds:>7.1f}   seconds in total, after kills of the server",
        f"  Faults          {sum(outcome.faults.values()):>7}   {_shares(outcome.faults)}",
        f"  At the provider {outcome.charges:>7}   charges, declines and holds; {outcome.refunds} refunds",
        f"  Last to end     {outcome.end_seconds:>7.1f}   seconds after the last fault; {limit:.0f} are allowed",
        "",
        *(f"  {name:<18}{count:>5}" for name, count in promises),
        "",
        SENTENCES[outcome.verdict],
        *(f"  did not occur: {one}" for one in outcome.missing),
    ]
    for name in violations.__struct_fields__:
        lines += [f"  {name}: {one}" for one in getattr(violations, name)[:10]]
    lines += [f"  unexpected: {one}" for one in outcome.unexpected]
    return "\n".join(lines)


def _shares(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
