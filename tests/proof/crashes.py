"""Runs that crash at chosen points and recover, with a record of what was tested."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from tests.proof.fork_client import End, ForkServer
from tests.proof.stories import STORIES

FRESH: TypeAlias = Callable[[], AbstractContextManager[str]]
"""Creates an empty database; yields its URL."""

POINTS_OF_A_STORY_MIN: Final = 1  # For a sample, where not every point of every story is tested.

# What a worker does again and again, whatever the story: tried in the stories that are about it.
POLLING: Final = {
    "apply_webhooks": ("late_success", "late_success_of_a_canceled_one", "refund_in_the_dashboard"),
    "claim_attempts": ("restart", "leave", "answer_lost", "fall_back"),
    "expire_checkouts": ("expire",),
    "do_upkeep": ("webhook_end",),
    "store_counts": ("statistics",),
    "delete_old": ("forget",),
    "void_expired": ("void_on_expiry",),
}


@dataclass
class Crashes:
    """What was tested on one database. ``died`` are the points of crashes; ``broken`` must stay empty."""

    fork_server: ForkServer
    url: str
    folder: Path
    fresh: FRESH
    source: Path | None = None
    deduplicates: bool = True
    died: set[str] = field(default_factory=set)
    count: int = 0
    broken: list[str] = field(default_factory=list)

    def trace(self, story: str) -> list[str]:
        """Run a story without a crash; returns the points that it reaches, each once, in order."""
        reached: list[str] = []
        with self._place(story) as life:
            end = self._live(life, 0, None)
            reached += end.result["reached"] if end.result else []
            if STORIES[story].lives > 1:
                end = self._live(life, 1, None)
            self._judge(f"{story} without a crash", end)
        return [name for name in dict.fromkeys(reached) if not name.startswith("?")]

    def crash(self, story: str, *points: str) -> list[str]:
        """Tell a story to processes that die, each at its point, and to a last one; returns what that reached.

        The later processes are armed from the start: their crash is one during the recovery.
        """
        with self._place(story) as life:
            for number, point in enumerate(points):
                end = self._live(life, number, point)
                if end.died:
                    self.died.add(point)
                    self.count += 1
                elif end.status != 0:
                    self.broken.append(f"{story} at {point}: a child ended with {end.status}")
            last = self._live(life, len(points), None)
            for number in range(1, STORIES[story].lives):
                last = self._live(life, len(points) + number, None)
            self._judge(f"{story} at {', then '.join(points)}", last)
        reached = last.result["reached"] if last.result else []
        return [name for name in dict.fromkeys(reached) if not name.startswith("?")]

    def _place(self, story: str) -> "_Place":
        return _Place(self, story)

    def _live(self, life: dict[str, Any], number: int, die_at: str | None) -> End:
        told = {**life, "number": number, "die_at": die_at, "from_the_start": number > 0}
        told["deduplicates"] = self.deduplicates
        return self.fork_server.fork("tests.proof.child:live", source=self.source, **told)

    def _judge(self, what: str, end: End) -> None:
        if end.result is None:
            self.broken.append(f"{what}: the last child ended with {end.status}")
        else:
            self.broken += [f"{what}: {one}" for one in end.result["violations"]]


class _Place:
    """Where a story runs: with a merchant, or even a database, of its own."""

    def __init__(self, crashes: Crashes, story: str) -> None:
        self._crashes = crashes
        self._story = story
        self._fresh = crashes.fresh() if STORIES[story].anew else None

    def __enter__(self) -> dict[str, Any]:
        merchant = f"{self._story}-{secrets.token_hex(4)}"
        folder = self._crashes.folder
        return {
            "url": self._fresh.__enter__() if self._fresh else self._crashes.url,
            "books": str(folder / (f"books-{merchant}.db" if self._fresh else "books.db")),
            "merchant": merchant,
            "told": str(folder / f"told-{merchant}"),
            "story": self._story,
        }

    def __exit__(self, *error: object) -> None:
        if self._fresh:
            self._fresh.__exit__(None, None, None)


def worth_trying(story: str, reached: Sequence[str]) -> Iterator[str]:
    """Yield the points of a story that are worth testing: not those of idle rounds of the worker."""
    for point in reached:
        stories = POLLING.get(point.partition(":")[0])
        if stories is None or story in stories:
            yield point


def choose(
    traces: Mapping[str, Sequence[str]], chance: Random, *, points: Collection[str], all_of_them: bool
) -> list[tuple[str, str]]:
    """Choose crash points: all points of all stories, or so that each of these points and each story is tested."""
    places = [(story, point) for story, reached in traces.items() for point in worth_trying(story, reached)]
    chance.shuffle(places)
    tried: Counter[str] = Counter()
    stories: Counter[str] = Counter()
    chosen = []
    for story, point in places:
        is_new = point in points and not tried[point]
        if all_of_them or is_new or stories[story] < POINTS_OF_A_STORY_MIN:
            tried[point] += 1
            stories[story] += 1
            chosen.append((story, point))
    return chosen


def places_of(points: Iterable[str], traces: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield where these points occurred."""
    wanted = set(points)
    yield from ((story, point) for story, reached in traces.items() for point in reached if point in wanted)
