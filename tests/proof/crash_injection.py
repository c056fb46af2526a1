"""Crash points that are wrapped around the code from outside: every commit and every call to a provider."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from threading import Event, Lock, local
from types import FrameType
from typing import Any, Final

from sqlalchemy.engine.default import DefaultDialect

from paidonce.database.batch import BatchRunner
from paidonce.database.engine import Database
from paidonce.providers.simulator.provider import Simulator
from tests.proof.points import provider_points

KILLED: Final = 137  # The exit status of a process killed by signal 9.
LAST_WORDS_SECONDS: Final = 0.02  # Time for a response that was sent too early to reach its client.
CALLS: Final = sorted({name.partition(":")[0] for name in provider_points()})  # Here, once for all children.


class Points:
    """The points reached since ``arm``, in order. The process crashes when it reaches ``die_at`` for the ``nth``
    time.
    """

    def __init__(self, die_at: str | None, nth: int = 1) -> None:
        self.die_at = die_at
        self.left = nth
        self.armed = False
        self.reached: list[str] = []
        self._lock = Lock()

    def arm(self) -> None:
        """Start to record. Earlier points are not part of the test."""
        self.armed = True

    def reach(self, name: str) -> None:
        """Record a point, or crash there."""
        with self._lock:
            if not self.armed:
                return
            self.reached.append(name)
            if name == self.die_at:
                self.left -= 1
                if self.left == 0:
                    Event().wait(LAST_WORDS_SECONDS)
                    os._exit(KILLED)


_running = local()


def wrap(points: Points) -> None:
    """Wrap every COMMIT and every call to the simulator, once for a process."""
    _name_batches()
    _wrap_commits(points)
    for method in CALLS:
        _wrap_call(points, Simulator, method)


def _name_batches() -> None:
    commit = BatchRunner._commit  # noqa: SLF001 - from outside, so that the code need not know of it

    @wraps(commit)
    def named(self: BatchRunner, jobs: Sequence[Any]) -> Any:  # noqa: ANN401 - as it is
        _running.actions = sorted({getattr(job.action, "__name__", "?") for job in jobs})
        try:
            return commit(self, jobs)
        finally:
            _running.actions = None

    BatchRunner._commit = named  # type: ignore[method-assign]  # noqa: SLF001 - as above


def _wrap_commits(points: Points) -> None:
    commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit  # Of every engine.

    @wraps(commit)
    def with_points(self: DefaultDialect, connection: Any) -> None:  # noqa: ANN401 - the driver's connection
        names = getattr(_running, "actions", None) or [_committer()]
        for name in names:
            points.reach(f"{name}:before_commit")
        commit(self, connection)
        for name in names:
            points.reach(f"{name}:after_commit")

    DefaultDialect.do_commit = with_points  # type: ignore[method-assign]


def _committer() -> str:
    """Return the name of the function of paidonce that commits without a batcher."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to ask who calls
    while frame is not None:
        where = frame.f_globals.get("__name__", "")
        inside = where.startswith("paidonce.") and where != Database.__module__
        if inside and not where.endswith("migrations.env") and frame.f_code.co_name != "<module>":
            return frame.f_code.co_name
        frame = frame.f_back
    return "?"


def _wrap_call(points: Points, kind: type, method: str) -> None:
    call: Callable[..., Any] = getattr(kind, method)

    @wraps(call)
    async def with_points(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is
        points.reach(f"{method}:before")
        evidence = await call(*arguments, **named)
        points.reach(f"{method}:after")
        return evidence

    setattr(kind, method, with_points)
