"""Negative controls: the code with one safeguard removed. The proof must notice each of them."""

import shutil
from pathlib import Path
from typing import Final, NamedTuple

from tests.proof.points import SOURCE


class Edit(NamedTuple):
    """A text that occurs ``times`` times in a file, and its replacement."""

    file: str
    old: str
    new: str
    times: int = 1


class Mutant(NamedTuple):
    """``layer`` must notice it. ``where`` are a story and the points at which processes crash."""

    without: str
    layer: str
    edits: tuple[Edit, ...]
    where: tuple[str, ...] = ()
    deduplicates: bool = True


MIGRATION: Final = "database/migrations/versions/0001_checkouts_attempts_and_events.py"
MODE_MIGRATION: Final = "database/migrations/versions/0010_test_and_live_data_apart.py"
CHECKOUT_KEY: Final = """    (
        "checkout",
        "checkout_idempotency_key",
        "UNIQUE",
        "merchant_id, idempotency_key",
        "merchant_id, mode, idempotency_key",
    ),
"""
CONFLICT: Final = ".on_conflict_do_nothing(index_elements=key)"
READ_BACK: Final = 'durable = journal == "wal" and synchronous in (SYNCHRONOUS_FULL, SYNCHRONOUS_EXTRA)'
EVENTS: Final = "            self.before_commit(transaction)\n"
STARTED: Final = "        loop = asyncio.get_running_loop()\n"
RESULTS_BEFORE_COMMIT: Final = (
    "        self._runner.answer_early = lambda results: loop.call_soon_threadsafe("
    "on_result, BatchResult(list(results), CommitNotice()))\n"
)
COMMITTED: Final = (
    "        transaction, results = self._run_work(self._begin_knowing_lost_nodes, partial(_run_actions, jobs))\n"
)
ANSWERED_EARLY: Final = """        def work(transaction):
            done = _run_actions(jobs, transaction)
            self.answer_early(done[1])
            return done

        transaction, results = self._run_work(self._begin_knowing_lost_nodes, work)
"""
STORE_COUNTS: Final = "def store_counts(transaction: Transaction, counts: Sequence[LogCount]) -> list[bool]:\n"
STORED_APART: Final = (
    "def store_figures(transaction, counts):\n"
    "    for one in counts:\n"
    "        store.add_figures(transaction, one.figures)\n"
    "    return [True for _ in counts]\n\n\n"
    "def store_cursors(transaction, counts):\n"
    "    moved = store.move_cursors(transaction, counts)\n"
    "    return [one.tenant in moved for one in counts]\n\n\n"
)

_NO_PARTIAL_INDEX: Final = Edit(
    "database/migrations/versions/0006_sessions_and_actions_of_attempts.py",
    "MOVES_ITS_CHECKOUT, True),",
    "MOVES_ITS_CHECKOUT, False),",
)
_NO_STATUS_GUARD: Final = Edit("checkouts/store.py", "        checkout.c.status == wanted.c.source,\n", "")
_NO_READ_BACK: Final = Edit("database/engine.py", READ_BACK, 'durable = journal == "wal"')

MUTANTS: Final = (
    Mutant(
        "the unique index on (merchant_id, idempotency_key)",
        "crash points",
        (
            Edit(
                MIGRATION,
                '        sa.UniqueConstraint("merchant_id", "idempotency_key", name="checkout_idempotency_key"),\n',
                "",
            ),
            Edit(MODE_MIGRATION, CHECKOUT_KEY, ""),
            Edit("checkouts/store.py", CONFLICT, ""),
        ),
        ("create", "create_checkouts:after_commit"),
    ),
    Mutant(
        "the fence of the worker that answers",
        "stale worker",
        (
            Edit(
                "payments/settle.py",
                "if request.fence is not None and request.fence != attempt.fence:",
                "if request.fence is not None and request.fence < 0:",
            ),
        ),
    ),
    Mutant(
        "the fence in the statement",
        "races",
        (
            Edit(
                "payments/store.py",
                "        attempt.c.fence == wanted.c.fence,\n        attempt.c.status",
                "        attempt.c.status",
            ),
        ),
    ),
    Mutant(
        "the provider key (a new key at each send)",
        "crash points",
        (
            Edit(
                "payments/provider_calls.py",
                "key=attempt.provider_key,",
                "key=f'{attempt.provider_key}{attempt.fence}',",
                2,
            ),
        ),
        ("pay", "charge:after"),
    ),
    Mutant("the partial unique index", "constraints", (_NO_PARTIAL_INDEX,)),
    Mutant("the status guard", "races", (_NO_STATUS_GUARD,)),
    Mutant("the partial unique index and the status guard", "races", (_NO_PARTIAL_INDEX, _NO_STATUS_GUARD)),
    Mutant(
        "the look-up before a resend, where the provider does not deduplicate",
        "crash points",
        (Edit("payments/provider_calls.py", "if not attempt.may_have_been_sent:", "if attempt.id:"),),
        ("pay", "charge:after"),
        deduplicates=False,
    ),
    Mutant(
        "the rule that only a provider that deduplicates is sent a key again",
        "stories",
        (
            Edit(
                "payments/provider_calls.py",
                "return age_seconds < remembered_seconds - self._timeout_seconds",
                "return True",
            ),
        ),
        ("hidden",),
        deduplicates=False,
    ),
    Mutant(
        "the rule that an unknown outcome is no decline",
        "stories",
        (
            Edit(
                "payments/reducer.py",
                "decline_code=code, reason=reason)\n    return None\n",
                "decline_code=code, reason=reason)\n"
                '    return Transition(AttemptStatus.DECLINED, decline_code="error")\n',
            ),
        ),
        ("answer_lost",),
    ),
    Mutant(
        "the rule that an unknown outcome leads to no other account",
        "stories",
        (
            Edit(
                "payments/reducer.py",
                "isinstance(evidence, NotDone) and (fallback",
                "isinstance(evidence, NotDone | Unknown) and (fallback",
            ),
            Edit("payments/reducer.py", "decline_code=evidence.code, reason", 'decline_code="error", reason'),
        ),
        ("answer_lost_at_an_account",),
    ),
    Mutant(
        "the comparison of what was taken with what was asked for",
        "stories",
        (Edit("payments/reducer.py", "and (other := _contradiction(attempt, evidence)):", 'and (other := ""):'),),
        ("other_amount",),
    ),
    Mutant(
        "fsync at each commit, and the reading back of that",
        "power loss",
        (Edit("database/engine.py", '"synchronous=FULL"', '"synchronous=NORMAL"'), _NO_READ_BACK),
    ),
    Mutant(
        "fsync at all, and the reading back of that",
        "power loss",
        (Edit("database/engine.py", '"synchronous=FULL"', '"synchronous=OFF"'), _NO_READ_BACK),
    ),
    Mutant(
        "fsync at each commit",
        "refusal to start",
        (Edit("database/engine.py", '"synchronous=FULL"', '"synchronous=NORMAL"'),),
        ("create",),
    ),
    Mutant(
        "the wait for the commit before the answer",
        "crash points",
        (
            Edit("database/batch.py", COMMITTED, ANSWERED_EARLY),
            Edit("database/batcher.py", STARTED, STARTED + RESULTS_BEFORE_COMMIT),
        ),
        ("create", "create_checkouts:before_commit"),
    ),
    Mutant(
        "one transaction for a transition and its event",
        "crash points",
        (
            Edit(
                "database/engine.py",
                EVENTS,
                "        with self.writes.begin() as connection:\n"
                "            self.before_commit(Transaction(connection, transaction.now, transaction.events))\n",
            ),
        ),
        ("create", "create_checkouts:after_commit"),
    ),
    Mutant(
        "one transaction for figures and the cursor of what is counted",
        "crash points",
        (
            Edit("statistics/actions.py", STORE_COUNTS, STORED_APART + STORE_COUNTS),
            Edit(
                "statistics/rollup.py",
                "count_logs, find_uncounted, store_counts\n",
                "count_logs, find_uncounted\nfrom paidonce.statistics.actions import store_cursors, store_figures\n",
            ),
            Edit(
                "statistics/rollup.py",
                "            return await self._writer.submit(store_counts, counted)\n",
                "            await self._writer.submit(store_figures, counted)\n"
                "            return await self._writer.submit(store_cursors, counted)\n",
            ),
        ),
        ("statistics", "store_figures:after_commit"),
    ),
)


def build(mutant: Mutant, folder: Path) -> Path:
    """Write a copy of the source without the safeguard; returns the folder to import it from."""
    shutil.copytree(SOURCE, folder / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in mutant.edits:
        path = folder / SOURCE.name / edit.file
        text = path.read_text()
        assert text.count(edit.old) == edit.times, f"{edit.file} has changed: mend the mutant without {mutant.without}"
        path.write_text(text.replace(edit.old, edit.new))
    return folder
