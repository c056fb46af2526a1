"""Measures which test runs which line, and only what has changed since the last time: the source, or some tests."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from tests.mutation.choosing import Lines
from tests.mutation.mistakes import ROOT

KEPT_IN: Final = ROOT / ".make" / "mutants"
TESTS: Final = ("tests/unit", "tests/isolation")
UNUSED: Final = ("mutation", "proof", "scenarios", "conformance")  # Folders of tests that are not run.


def measured_lines(processes: int) -> Lines:
    """Return the lines of every test; those that fail without any mistake are left out."""
    KEPT_IN.mkdir(parents=True, exist_ok=True)
    kept = KEPT_IN / "lines.json"
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    tests = {str(path.relative_to(ROOT)): path for folder in TESTS for path in (ROOT / folder).rglob("test_*.py")}
    hashes = {name: _hash([path]) for name, path in tests.items()}
    source = _hash([*(ROOT / "src").rglob("*.py"), *_shared()])
    if known.get("source") != source:
        known = {"tests": {}, "seconds": {}, "files": {}, "libraries": []}
    changed = [name for name, content in hashes.items() if known["tests"].get(name) != content]
    if changed or known["tests"].keys() != hashes.keys():
        click.echo(f"Measuring which lines the tests run, in {len(changed)} of {len(hashes)} files …")
        _forget(known, {*changed, *(known["tests"].keys() - hashes.keys())})
        for measured in _measure(changed, processes):
            _add(known, measured)
        known |= {"source": source, "tests": hashes}
        kept.write_text(json.dumps(known))
    return Lines(known)


def _shared() -> list[Path]:
    """List what tests share, a change of which may change what any of them does."""
    found = [path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_")]
    return [path for path in found if path.relative_to(ROOT / "tests").parts[0] not in UNUSED]


def _hash(paths: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for path in sorted(paths):
        content.update(path.read_bytes())
    return content.hexdigest()


def _forget(known: dict[str, Any], files: set[str]) -> None:
    def stays(test: str) -> bool:
        return test.partition("::")[0] not in files

    known["seconds"] = {test: spent for test, spent in known["seconds"].items() if stays(test)}
    for lines in known["files"].values():
        for line, tests in lines.items():
            lines[line] = [test for test in tests if stays(test)]


def _add(known: dict[str, Any], measured: dict[str, Any]) -> None:
    known["seconds"] |= measured["seconds"]
    known["libraries"] = list(dict.fromkeys([*known["libraries"], *measured["libraries"]]))
    for file, lines in measured["files"].items():
        place = known["files"].setdefault(file, {})
        for line, tests in lines.items():
            place[line] = sorted({*place.get(line, ()), *tests})


def _measure(files: list[str], processes: int) -> Iterator[dict[str, Any]]:
    """Run tests in so many processes, and return what each of them measured."""
    folder = KEPT_IN / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    options = [
        "-q",
        "-n",
        str(processes),
        "--dist",
        "loadfile",
        "-p",
        "tests.mutation.covering",
        "-k",
        "not postgresql",
    ]
    settings = {**os.environ, "MUTATION_LINES": str(folder)}
    command = [sys.executable, "-m", "pytest", *options, *files]
    ran = subprocess.run(command, cwd=ROOT, env=settings, check=False, capture_output=True, text=True)
    if ran.returncode:
        click.echo(f"{ran.stdout[-5000:]}\nTests that fail without any mistake are left out.")
    for output in folder.glob("measured*.json"):
        yield json.loads(output.read_text())
