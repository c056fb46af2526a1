"""An API key cache with a clock that the test sets, and a fake of the database that counts look-ups."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from paidonce import ids
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants import api_key_cache
from paidonce.merchants.actions import ActiveKey
from paidonce.merchants.api_key_cache import ApiKeyCache
from paidonce.merchants.model import MERCHANT_SCOPES, Caller, Mode
from paidonce.merchants.secret import RANDOM_LENGTH, hash_secret, make_secret

ANNA = Caller("m_anna", MERCHANT_SCOPES, "key_1")


def new_secret() -> bytes:
    return make_secret(Mode.TEST, ids.draw_base62(RANDOM_LENGTH)).encode()


class Reader:
    """A fake of the reading batcher. ``asked`` has the hashes of each look-up."""

    def __init__(self) -> None:
        self.living: dict[str, ActiveKey] = {}
        self.asked: list[Sequence[str]] = []
        self.down = False
        self.lost: set[str] = set()  # The hashes of keys that are stored on a node that is lost.
        self.gate = asyncio.Event()
        self.gate.set()

    def let_in(self, secret: bytes, remaining_ms: int | None = None) -> None:
        self.living[hash_secret(secret)] = ActiveKey(ANNA, remaining_ms)

    async def submit(self, _action: object, hashes: Sequence[str]) -> dict[str, ActiveKey | None]:
        self.asked.append(hashes)
        found: dict[str, ActiveKey | None] = {one: self.living[one] for one in hashes if one in self.living}
        found |= dict.fromkeys(self.lost.intersection(hashes))
        await self.gate.wait()
        if self.down:
            raise DatabaseUnavailable
        return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class CacheHarness:
    def __init__(self) -> None:
        self.reader, self.clock = Reader(), Clock()
        reader: Any = self.reader
        self.cache = ApiKeyCache(reader, monotonic=self.clock)

    async def quiet(self) -> None:
        """Wait until nothing is looked up any more: then every task of the keyring has ended."""
        while tasks := [one for one in asyncio.all_tasks() if is_keyrings(one)]:
            await asyncio.wait(tasks)


def is_keyrings(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == api_key_cache.__file__


@pytest.fixture
async def on(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CacheHarness]:
    monkeypatch.setattr(api_key_cache, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(api_key_cache, "FAILED_PAUSE_SECONDS", 0)
    made = CacheHarness()
    yield made
    await made.cache.stop()
