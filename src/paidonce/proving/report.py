"""The report: a page that a manager can read; ``--json`` gives the same to a machine."""

from typing import Final

from paidonce.proving.outcome import Outcome, Verdict

SENTENCES: Final = {
    Verdict.KEPT: "Every promise was kept.",
    Verdict.NOT_PROVEN: "Nothing was broken, and nothing is proven: not everything that was to be tried came about.",
    Verdict.BROKEN: "A PROMISE WAS BROKEN. Run again with the seed to see it.",
}


def render(outcome: Outcome) -> str:
    """Write the report."""
    violations = outcome.violations
    promises = [
        ("Charged twice", len(violations.charged_twice)),
        ("Lost", len(violations.lost)),
        ("Stuck", len(violations.stuck)),
        ("Otherwise wrong", len(violations.wrong)),
        ("Unexpected answers", len(outcome.unexpected)),
    ]
    limit = outcome.end_seconds_max
    stopped = f"{outcome.stops} workers stopped past their lease"
    lines = [
        f"paidonce on {outcome.database}, seed {outcome.seed}, {outcome.seconds:.0f} seconds",
        "",
        f"  Purchases       {outcome.checkouts:>7}   {_shares(outcome.statuses)}",
        f"  Payments        {outcome.payments:>7}   each by one of {len(outcome.methods)} ways to pay",
        f"  Requests        {outcome.requests:>7}   {outcome.repeats} repeated for want of an answer",
        f"  Kills           {outcome.kills:>7}   {outcome.writer_kills} of a writer; and {stopped}",
        f"  Without answer  {outcome.down_seconds:>7.1f}   seconds in all, after the server was killed",
        f"  Faults          {sum(outcome.faults.values()):>7}   {_shares(outcome.faults)}",
        f"  At the provider {outcome.charges:>7}   charges, declines and holds in its books; {outcome.refunds} refunds",
        f"  Last to end     {outcome.end_seconds:>7.1f}   seconds after the last blow; {limit:.0f} are allowed",
        "",
        *(f"  {name:<18}{count:>5}" for name, count in promises),
        "",
        SENTENCES[outcome.verdict],
        *(f"  never came about: {one}" for one in outcome.missing),
    ]
    for name in violations.__struct_fields__:
        lines += [f"  {name}: {one}" for one in getattr(violations, name)[:10]]
    lines += [f"  unexpected: {one}" for one in outcome.unexpected]
    return "\n".join(lines)


def _shares(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
