"""Throughput: creates, replays and gets with wrk, and payments from pay to settled; compared with the limit and the
peer.
"""

from pathlib import Path
from typing import Final

import uvloop

from bench.calls import create_some, fresh_prefix
from bench.load import load
from bench.plan import GET_IDS, Places
from bench.results import PER_SECOND, Figure, Findings, Goal, Run, find
from bench.session import Session
from bench.settling import payments_lasting, settle
from bench.subjects import LIMIT, PEER, POSTGRESQL, SQLITE, Merchant, Subject

CREATE: Final = "create"
REPLAY: Final = "replay"
GET: Final = "get"
SETTLE: Final = "settle"
PAY: Final = "pay"

# How many times as fast as the peer each is to be.
OF_THE_PEER: Final = {
    (CREATE, SQLITE): 6.0,
    (REPLAY, SQLITE): 8.0,
    (GET, SQLITE): 5.0,
    (SETTLE, SQLITE): 5.0,
    (CREATE, POSTGRESQL): 5.0,
    (SETTLE, POSTGRESQL): 4.0,
}


def measure_creates(session: Session, subjects: list[Subject]) -> Findings:
    """Create checkouts, each with its own idempotency key."""

    def create(subject: Subject, seconds: float) -> Run:
        merchants = merchants_file(session.places, subject)
        return load(subject.url, CREATE, fresh_prefix(), str(merchants), seconds=seconds)

    return _against_the_peer(session.interleaved(CREATE, PER_SECOND, subjects, create))


def measure_replays(session: Session, subjects: list[Subject]) -> Findings:
    """Send the same create again and again."""

    def replay(subject: Subject, seconds: float) -> Run:
        return load(subject.url, REPLAY, "the-same-key", str(merchants_file(session.places, subject)), seconds=seconds)

    return _against_the_peer(session.interleaved(REPLAY, PER_SECOND, _with_a_database(subjects), replay))


def measure_gets(session: Session, subjects: list[Subject]) -> Findings:
    """Read checkouts in turn."""
    for subject in subjects:
        made = uvloop.run(create_some(subject, GET_IDS))
        lines = [Merchant(checkout.id, checkout.merchant.authorization) for checkout in made]
        _write(_file(session.places, subject, "ids"), lines)

    def read(subject: Subject, seconds: float) -> Run:
        return load(subject.url, GET, str(_file(session.places, subject, "ids")), seconds=seconds)

    return _against_the_peer(session.interleaved(GET, PER_SECOND, subjects, read))


def measure_settling(session: Session, subjects: list[Subject]) -> Findings:
    """Pay checkouts, and count how many are settled per second."""
    paying = _with_a_database(subjects)
    seconds = session.plan.settle_seconds
    payments = {subject.name: uvloop.run(payments_lasting(subject, seconds)) for subject in paying}

    def pay(subject: Subject, _seconds: float) -> Run:
        return uvloop.run(settle(subject, payments[subject.name]))

    figures = session.interleaved(SETTLE, PER_SECOND, paying, pay, warming_up=False)
    goals = [
        Goal(
            what="payments that did not end",
            subject=figure.subject,
            unit="",
            bound=0,
            reached=figure.errors.get("stuck", 0),
        )
        for figure, subject in zip(figures, paying, strict=True)
        if subject.is_paidonce
    ]
    ends = (f"{figure.subject}: {', '.join(f'{n:,} {k}' for k, n in figure.counts.items())}" for figure in figures)
    return Findings(figures, goals=[*times_the_peer(figures), *goals], notes=[f"Payments ended: {'; '.join(ends)}."])


def _against_the_peer(figures: list[Figure]) -> Findings:
    return Findings(figures, goals=times_the_peer(figures))


def times_the_peer(figures: list[Figure]) -> list[Goal]:
    """Return how many times as fast as the peer each subject is, where a target says how many it has to be."""
    return [
        Goal(
            what=f"{figure.what}, times the peer",
            subject=figure.subject,
            unit="×",
            reached=figure.median / peer.median,
            bound=OF_THE_PEER[figure.what, figure.subject],
            at_least=True,
        )
        for figure in figures
        if (figure.what, figure.subject) in OF_THE_PEER and (peer := find(figures, figure.what, PEER))
    ]


def _with_a_database(subjects: list[Subject]) -> list[Subject]:
    return [subject for subject in subjects if subject.name != LIMIT]


def merchants_file(places: Places, subject: Subject) -> Path:
    """Write the merchants of a subject in the format of the scripts in wrk/."""
    return _write(_file(places, subject, "merchants"), subject.merchants)


def _file(places: Places, subject: Subject, kind: str) -> Path:
    return places.folder / f"{subject.name}.{kind}"


def _write(path: Path, lines: list[Merchant] | tuple[Merchant, ...]) -> Path:
    path.write_text("".join(f"{line.id}\t{line.authorization}\n" for line in lines))
    return path
