"""``make mutants``: puts mistakes into the code, one at a time, and says which of them no test notices."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, TextIO

import click

from tests.mutation.forks import Verdict
from tests.mutation.measuring import KEPT_IN, measured_lines
from tests.mutation.mistakes import ROOT, Mutant, mutants_of
from tests.mutation.report import equivalent_of, known_equivalents, table, told
from tests.mutation.results import Results
from tests.mutation.running import Job, run_in_functions, run_on_import

TOLD_EVERY: Final = 50
POSTGRESQL_SECONDS: Final = 5.0  # Each mutant that is tried on PostgreSQL starts a server of its own.
CONNECTOR_MODULES: Final = ("amounts", "decline_codes", "disputes", "external_changes", "responses", "webhooks", "wire")
CITUS_MODULES: Final = ("lanes", "lost_nodes", "node_reads", "shard_keys")
TARGETS: Final = {
    "payments": ["payments/*.py"],
    "checkouts": ["checkouts/*.py"],
    "idempotency": ["idempotency/*.py"],
    "merchants": ["merchants/*.py"],
    "provider_webhooks": ["provider_webhooks/*.py"],
    "webhook_endpoints": ["webhook_endpoints/*.py"],
    "events": ["events/*.py"],
    "signing": ["signing.py"],
    "encryption": ["encryption.py"],
    "money": ["money.py"],
    "jobs": ["jobs/*.py"],
    "batch": ["database/batch.py", "database/batcher.py"],
    # Of what is for Citus alone, what needs no cluster to be tested.
    "database": ["database/[!b]*.py", *(f"database/citus/{name}.py" for name in CITUS_MODULES)],
    "retention": ["retention/*.py"],
    "users": ["users/*.py"],
    "dashboard": ["dashboard/**/*.py"],
    "statistics": ["statistics/*.py"],
    "search": ["search/*.py"],
    "profiles": ["profiles/*.py"],
    "buyer_pages": ["buyer_pages/*.py"],
    "pages": ["pages/*.py"],
    "provider_accounts": ["provider_accounts/*.py"],
    "providers": ["providers/*.py"],
    # What the connectors make of responses and of webhooks. The conformance tests hold what they send.
    "connectors": [f"providers/*/{name}.py" for name in CONNECTOR_MODULES],
}


def paths_of(folder: str) -> list[Path]:
    """List the files of a folder, as the table calls it, or the one file that is named instead."""
    patterns = TARGETS.get(folder, [folder])
    return [path for pattern in patterns for path in sorted(ROOT.glob(f"src/paidonce/{pattern}"))]


class Sample(NamedTuple):
    """At most ``size`` mutants of each folder, or all of them without a size. The same seed chooses the same ones."""

    size: int | None = None
    seed: int = 0

    def of(self, mutants: list[Mutant]) -> list[Mutant]:
        """Choose mutants, in the order in which they are in their files."""
        if self.size is None or self.size >= len(mutants):
            return mutants
        chosen = Random(self.seed).sample(range(len(mutants)), self.size)
        return [mutants[index] for index in sorted(chosen)]


class Run:
    """One run over folders: first what must be imported anew, then what needs one process that has loaded all."""

    def __init__(self, folders: list[str], output: TextIO, sample: Sample, processes: int) -> None:
        self._lines = measured_lines(processes)
        self._results = Results(KEPT_IN / "results.json")
        self._output = output
        self._verdicts: dict[str, Verdict] = {}
        self._jobs: list[Job] = []
        self._tests: dict[str, list[str]] = {}
        self._done: Counter[str] = Counter()
        self.mutants = {
            name: sample.of([mutant for path in paths_of(name) for mutant in mutants_of(path)]) for name in folders
        }
        equivalents = known_equivalents()
        files = {one.file for one in equivalents}
        for mutant in self._all():
            on_postgresql = self._lines.tests_on_postgresql(mutant)
            tests = self._tests[mutant.key] = [*on_postgresql, *self._lines.tests(mutant)]
            if mutant.path in files and equivalent_of(mutant) in equivalents:
                self._verdicts[mutant.key] = Verdict("equivalent")
            elif not tests:
                self._verdicts[mutant.key] = Verdict("survived", "no test runs it")
            elif known := self._results.find(mutant.key, self._lines, tests):
                self._verdicts[mutant.key] = known
            else:
                seconds = {test: self._lines.seconds.get(test, POSTGRESQL_SECONDS) for test in tests}
                self._jobs.append(Job(mutant, seconds, on_postgresql=bool(on_postgresql)))

    def _all(self) -> Iterator[Mutant]:
        for mutants in self.mutants.values():
            yield from mutants

    def go(self, processes: int) -> None:
        """Run what is not known from before."""
        on_import: list[Job] = []
        others: list[Job] = []
        for job in self._jobs:
            (on_import if job.on_postgresql or self._lines.is_run_on_import(job.mutant) else others).append(job)
        self._say(f"{len(self._jobs)} mutants to run, {len(on_import)} of them on import")
        try:
            run_on_import(self._lines.libraries, on_import, self._note, processes=processes)
            if others:
                files = sorted({test.partition("::")[0] for job in others for test in job.tests})
                run_in_functions(files, others, self._note, processes=processes)
        finally:
            self._results.write()

    def _note(self, job: Job, verdict: Verdict) -> None:
        key = job.mutant.key
        assert verdict.status != "broken", f"{job.mutant}: {verdict.by}"
        self._verdicts[key] = verdict
        self._results.note(key, verdict, self._lines.state_of(self._tests[key]))
        self._done[verdict.status] += 1
        if self._done.total() % TOLD_EVERY == 0:
            self._say(f"{self._done.total()} of {len(self._jobs)}: {dict(self._done)}")

    def tell(self) -> None:
        """Tell the survivors, and the table by folder."""
        none = Verdict("survived", "not run yet")
        found = {name: [self._verdicts.get(one.key, none) for one in mutants] for name, mutants in self.mutants.items()}
        survivors = [(one, self._verdicts.get(one.key, none)) for one in self._all()]
        for line in told((mutant, verdict) for mutant, verdict in survivors if verdict.status == "survived"):
            self._say(line)
        for line in table(found):
            self._say(line)

    def _say(self, line: str) -> None:
        self._output.write(f"{line}\n")


@contextmanager
def silenced() -> Iterator[TextIO]:
    """Keep what pytest writes away from the terminal; yields where to write instead."""
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    with os.fdopen(kept, "w", buffering=1) as output:
        yield output


@click.command()
@click.option("--only", default="", help="Folders, or files of src/paidonce, with commas between them; all without it.")
@click.option("--show", default="", help="Tell the survivors in these folders as they are known, and run nothing.")
@click.option("--sample", type=click.IntRange(min=1), help="Try at most so many mutants of each folder.")
@click.option("--seed", default=0, help="Which sample to try.")
@click.option("--processes", default=os.cpu_count() or 1)
def main(*, only: str, show: str, sample: int | None, seed: int, processes: int) -> None:
    """Put mistakes into the code, one at a time, and say which of them no test notices."""
    folders = [name for name in (only or show).split(",") if name] or list(TARGETS)
    with silenced() as output:
        run = Run(folders, output, Sample(sample, seed), processes)
        if not show:
            run.go(processes)
        run.tell()


if __name__ == "__main__":
    main()
