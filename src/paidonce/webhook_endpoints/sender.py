"""The sender: finds endpoints that something is due for, claims a share for each, calls, and records what came of it.

No transaction is open while a receiver is called. Each endpoint has a few places and no more, a failing one a single
place, and all failing ones together half of all: who is slow or dead delays nobody else. A sender that dies leaves
leases behind; when they are over, what it held is sent again, with the same id.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Set as AbstractSet
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import msgspec
import structlog

from paidonce.clock import Clock, Instant
from paidonce.database.batcher import Batcher
from paidonce.encryption import Keyring
from paidonce.errors import DatabaseUnavailable, EncryptionKeyMissing, Overloaded
from paidonce.ids import Chance
from paidonce.signing import signed_headers
from paidonce.webhook_endpoints.calls import Answer, CallFailed
from paidonce.webhook_endpoints.deliveries import Held, Share, Waiting
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, Delivery, Schedule
from paidonce.webhook_endpoints.secrets import signing_keys
from paidonce.webhook_endpoints.sending import (
    ClaimDeliveries,
    Claimed,
    RecordTry,
    claim_deliveries,
    find_waiting_endpoints,
    record_tries,
    release_all_deliveries,
    release_deliveries,
)
from paidonce.webhook_endpoints.upkeep import do_upkeep, find_upkeep, put_off_upkeep

log = structlog.get_logger()

FOUND_MAX: Final = 4096  # Endpoints looked at in a round.
LEASES_OF_A_CALL: Final = 3  # A lease is so many times a call's limit: the rest is for writing down what came of it.
PAUSE_SECONDS_MIN: Final = 0.02  # Before a round that was asked for: one is enough for what ends or commits together.
SUCCESS: Final = range(200, 300)
NOT_RECORDED: Final = "the sender could not record the answer"
NOT_WRITTEN: Final = "the sender could not write the message: what is stored of the event cannot be read"
NOT_SIGNED: Final = "the sender could not decrypt the endpoint's secret"


class SenderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a sender works; see the settings of the same names."""

    timeout_seconds: float
    concurrency: int
    poll_seconds: float
    schedule: Schedule


class Post(Protocol):
    """Posts a body to a URL; raises CallFailed."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return what the receiver answered."""
        ...


class Sender:
    """Deliveries in the hands of this process."""

    def __init__(
        self,
        writer: Batcher,
        reader: Batcher,
        receivers: Post,
        keyring: Keyring,
        settings: SenderSettings,
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._receivers = receivers
        self._keyring = keyring
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._lease_ms = round(settings.timeout_seconds * LEASES_OF_A_CALL * 1000)
        self._tasks: dict[asyncio.Task[None], Claimed] = {}
        self._places: Counter[str] = Counter()  # Taken, by endpoint.
        self._failing: Counter[str] = Counter()  # Of those, the places of failing endpoints.
        self._loop_task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._more = False  # Whether somebody waited in the last round.
        self._stopping = False

    async def start(self, *, alone: bool) -> None:
        """Begin to work. ``alone``: no other process can have leases, so those that are found are dead ones'."""
        if alone:
            await self._writer.submit(release_all_deliveries, None)
        self._loop_task = asyncio.create_task(self._work())

    def hint(self) -> None:
        """Look soon: something is to be delivered. What is missed, the next poll finds."""
        self._wake.set()

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for what is in flight, then give back the leases of what is not done."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            await self._loop_task  # Not cancelled: a claim that is being committed must come to somebody's hands.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        left = dict(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
            await self._give_back(list(left.values()))

    async def _give_back(self, left: Sequence[Claimed]) -> None:
        held = [Held(one.delivery.id, one.delivery.merchant_id, one.delivery.fence) for one in left]
        try:
            await self._writer.submit(release_deliveries, held)
        except (DatabaseUnavailable, Overloaded):
            log.warning("deliveries_left_to_their_leases", deliveries=len(held))

    async def _work(self) -> None:
        while not self._stopping:
            try:
                await self._do(self._claim)
                await self._do(self._keep_up)
            except (DatabaseUnavailable, Overloaded) as error:
                log.warning("sender_waits", cause=error.code)
            await self._pause()

    async def _do(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do one thing of several; a defect in it does not keep the others from being done."""
        try:
            await step()
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            log.exception("sender_failed")

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_seconds)
        except TimeoutError:
            return
        await asyncio.sleep(PAUSE_SECONDS_MIN)
        self._wake.clear()  # Before looking: what wakes from here on is looked for in a round of its own.

    async def _claim(self) -> None:
        waiting = await self._reader.submit(find_waiting_endpoints, FOUND_MAX)
        # Whether anybody has more due than it gets is known only when that is claimed: it is asked about again.
        self._more = bool(waiting)
        shares = self._shares(waiting)
        if not shares:
            return
        await self._claim_shares(shares, {one.endpoint_id for one in waiting if one.is_failing})

    async def _claim_shares(self, shares: Sequence[Share], failing: AbstractSet[str]) -> None:
        """Claim shares together; where that fails, claim them by halves, until the one that fails is alone."""
        try:
            claimed = await self._writer.submit(claim_deliveries, ClaimDeliveries(shares, self._lease_ms))
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            if len(shares) == 1:
                log.exception("deliveries_not_claimed", endpoint_id=shares[0].endpoint_id)
                return
            middle = len(shares) // 2
            await self._claim_shares(shares[:middle], failing)
            await self._claim_shares(shares[middle:], failing)
            return
        for one in claimed:
            self._attend(one, is_failing=one.delivery.endpoint_id in failing)

    async def _keep_up(self) -> None:
        """Do a little of what is to be done beside sending; where there was something, look again soon."""
        found = await self._reader.submit(find_upkeep, None)
        if not (found.redeliveries or found.deleted):
            return
        try:
            await self._writer.submit(do_upkeep, found)
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            # A defect of ours. What failed is put off, so that it keeps nothing else waiting.
            log.exception("upkeep_failed", redeliveries=[one.id for one in found.redeliveries])
            await self._writer.submit(put_off_upkeep, found)
            return
        self._wake.set()

    def _shares(self, waiting: Sequence[Waiting]) -> list[Share]:
        """Share the free places out, in the order of those who wait."""
        free = self._settings.concurrency - self._places.total()
        free_for_failing = min(free, self._settings.concurrency // 2 - self._failing.total())
        shares = []
        for one in waiting:
            own = (1 if one.is_failing else PLACES_OF_AN_ENDPOINT) - self._places[one.endpoint_id]
            places = min(own, free_for_failing if one.is_failing else free)
            if places <= 0:
                continue
            shares.append(Share(one.endpoint_id, one.merchant_id, places))
            free -= places
            free_for_failing = min(free, free_for_failing - places * one.is_failing)
        return shares

    def _attend(self, claimed: Claimed, *, is_failing: bool) -> None:
        endpoint_id = claimed.delivery.endpoint_id
        self._places[endpoint_id] += 1
        self._failing[endpoint_id] += is_failing
        task = asyncio.create_task(self._deliver(claimed))
        self._tasks[task] = claimed

        def done(ended: asyncio.Task[None]) -> None:
            del self._tasks[ended]
            for count, taken in ((self._places, 1), (self._failing, int(is_failing))):
                count[endpoint_id] -= taken
                if not count[endpoint_id]:
                    del count[endpoint_id]
            if self._more:
                self._wake.set()
            if not ended.cancelled() and ended.exception() is not None:
                log.error("delivery_left_to_its_lease", delivery_id=claimed.delivery.id, exc_info=ended.exception())

        task.add_done_callback(done)

    async def _deliver(self, claimed: Claimed) -> None:
        one = claimed.delivery
        if one.due_at is None or self._clock() >= one.due_at:
            return  # The lease is over: somebody else may be sending it.
        tried = await self._try(claimed)
        while tried is not None and not await self._recorded(tried):
            if self._clock() >= one.due_at:
                return
            await asyncio.sleep(self._settings.poll_seconds * (0.5 + self._chance()))

    async def _recorded(self, tried: RecordTry) -> bool:
        try:
            await self._writer.submit(record_tries, tried)
        except (DatabaseUnavailable, Overloaded):
            return False
        except Exception:
            # A defect of ours. Without a record the webhook would be sent again for ever, so the try is recorded with
            # nothing in it that the receiver said: it counts as a failed one, and the schedule ends.
            log.exception("try_not_recorded", delivery_id=tried.delivery.id)
            return await self._recorded_as_failed(tried)
        return True

    async def _recorded_as_failed(self, tried: RecordTry) -> bool:
        failed = msgspec.structs.replace(
            tried, status_code=None, error=NOT_RECORDED, answer=None, retry_after_seconds=None
        )
        try:
            await self._writer.submit(record_tries, failed)
        except (DatabaseUnavailable, Overloaded):
            return False
        return True

    async def _try(self, claimed: Claimed) -> RecordTry | None:
        """Send once; None where this process has no encryption key at all: then nothing is sent and nothing fails.

        What cannot be written or signed counts as a failed try, and so ends, but says nothing about its receiver.
        """
        one, endpoint = claimed.delivery, claimed.endpoint
        started_at = self._clock()
        if claimed.body is None:
            return self._not_sent(one, started_at, NOT_WRITTEN)
        try:
            keys = signing_keys(self._keyring, endpoint, now=started_at)
        except (EncryptionKeyMissing, ValueError) as error:
            log.error("webhook_not_signed", endpoint_id=endpoint.id, cause=str(error))
            is_without_keys = isinstance(error, EncryptionKeyMissing) and error.key_id is None
            return None if is_without_keys else self._not_sent(one, started_at, NOT_SIGNED)
        headers = {
            **signed_headers(*keys, message_id=one.event_id, now=started_at, body=claimed.body),
            "Content-Type": "application/json",
            "User-Agent": "paidonce",
            "Accept": "*/*",
        }
        began = asyncio.get_running_loop().time()
        answer: Answer | None = None
        error_text: str | None = None
        try:
            answer = await self._receivers.post(endpoint.url, headers, claimed.body)
        except CallFailed as error:
            error_text = str(error)
        except Exception:
            # A defect of ours must neither end the delivery nor go unseen.
            log.exception("webhook_failed", delivery_id=one.id)
            error_text = "the sender failed"
        duration_ms = round((asyncio.get_running_loop().time() - began) * 1000)
        if answer is not None and answer.status not in SUCCESS:
            error_text = f"answered {answer.status}"
        return RecordTry(
            delivery=one,
            started_at=started_at,
            duration_ms=duration_ms,
            schedule=self._settings.schedule,
            chance=self._chance(),
            status_code=None if answer is None else answer.status,
            error=error_text,
            # PostgreSQL takes no NUL in a text.
            answer=None if answer is None else answer.beginning.decode(errors="replace").replace("\0", "\ufffd"),
            retry_after_seconds=None if answer is None else read_retry_after(answer.retry_after, self._clock()),
        )

    def _not_sent(self, one: Delivery, started_at: Instant, why: str) -> RecordTry:
        return RecordTry(
            delivery=one,
            started_at=started_at,
            duration_ms=0,
            schedule=self._settings.schedule,
            chance=self._chance(),
            error=why,
            was_sent=False,
        )


def read_retry_after(said: str | None, now: Instant) -> int | None:
    """Read ``Retry-After``, seconds or a date; None where it is absent or makes no sense."""
    if said is None:
        return None
    text = said.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            return None
        return max(0, round(moment.timestamp() - now / 1000))
    except (ValueError, TypeError, IndexError, OverflowError):  # A receiver may write any date.
        return None
