"""The sender of webhooks to merchants: it claims a share of each endpoint's due deliveries, posts and records them.

A delivery whose sender died is sent again when its lease ends, with the same id.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import msgspec
import structlog

from paidonce.clock import Clock, Instant
from paidonce.database.batch import CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.database.schema import delivery, redelivery
from paidonce.encryption import Keyring
from paidonce.errors import DatabaseUnavailable, EncryptionKeyMissing, Overloaded
from paidonce.ids import Chance
from paidonce.jobs.halving import run_by_halves
from paidonce.jobs.leased_worker import LeasedWorker, NextClaim
from paidonce.signing import signed_headers
from paidonce.webhook_endpoints.delivery_actions import (
    ClaimDeliveries,
    ClaimedDelivery,
    RecordTry,
    claim_deliveries,
    find_waiting_endpoints,
    record_tries,
    release_all_deliveries,
    release_deliveries,
)
from paidonce.webhook_endpoints.delivery_store import Held
from paidonce.webhook_endpoints.due_delivery_store import Share, Waiting
from paidonce.webhook_endpoints.maintenance import make_upkeep_poller
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, Delivery, Schedule
from paidonce.webhook_endpoints.receiver_messages import Answer, ReceiverCallFailed
from paidonce.webhook_endpoints.secrets import signing_keys

log = structlog.get_logger()

FOUND_MAX: Final = 4096  # Endpoints looked at in a round.
LEASES_OF_A_CALL: Final = 3  # A lease is so many times a call's limit: the rest is for writing down what came of it.
WAKE_DELAY_SECONDS: Final = 0.02  # One claim is enough for the calls that end together and for one commit's events.
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
    """Posts a body to a URL; raises ReceiverCallFailed."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return what the receiver answered."""
        ...


class EndpointPlaces:
    """How many calls run at once: few for each endpoint, one for a failing endpoint, ``concurrency`` in all.

    All failing endpoints together have half of all places: a slow or dead receiver does not delay others.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._taken: Counter[str] = Counter()  # By endpoint.
        self._failing: Counter[str] = Counter()  # Of those, the places of failing endpoints.

    def share(self, waiting: Sequence[Waiting]) -> list[Share]:
        """Share the free places out, in the order of the endpoints that wait."""
        free = self._concurrency - self._taken.total()
        free_for_failing = min(free, self._concurrency // 2 - self._failing.total())
        shares = []
        for one in waiting:
            own = (1 if one.is_failing else PLACES_OF_AN_ENDPOINT) - self._taken[one.endpoint_id]
            places = min(own, free_for_failing if one.is_failing else free)
            if places <= 0:
                continue
            shares.append(Share(one.endpoint_id, one.merchant_id, places))
            free -= places
            free_for_failing = min(free, free_for_failing - places * one.is_failing)
        return shares

    def take(self, job: ClaimedDelivery) -> None:
        """Take a place for a delivery."""
        self._change(job, 1)

    def release(self, job: ClaimedDelivery) -> None:
        """Give the place of a delivery back."""
        self._change(job, -1)

    def _change(self, job: ClaimedDelivery, change: int) -> None:
        endpoint_id = job.delivery.endpoint_id
        for count, places in ((self._taken, change), (self._failing, change * job.is_failing)):
            count[endpoint_id] += places
            if not count[endpoint_id]:
                del count[endpoint_id]


class DeliveryQueue:
    """The due deliveries, for a leased worker. The result of a delivery is a try, which is recorded."""

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
        found_due: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._receivers = receivers
        self._keyring = keyring
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._found_due = found_due
        self._lease_ms = round(settings.timeout_seconds * LEASES_OF_A_CALL * 1000)
        self._places = EndpointPlaces(settings.concurrency)

    async def claim(self, run: Callable[[ClaimedDelivery], None]) -> NextClaim:
        """Claim for each endpoint that has due deliveries as many as it has places."""
        waiting = await self._reader.submit(find_waiting_endpoints, FOUND_MAX)
        if not waiting:
            return NextClaim.AT_THE_NEXT_POLL
        self._found_due()
        failing = {one.endpoint_id for one in waiting if one.is_failing}

        async def claim_shares(shares: Sequence[Share]) -> None:
            for one in await self._writer.submit(claim_deliveries, ClaimDeliveries(shares, self._lease_ms)):
                job = msgspec.structs.replace(one, is_failing=one.delivery.endpoint_id in failing)
                self._places.take(job)
                run(job)

        shares = self._places.share(waiting)
        if shares:
            await run_by_halves(claim_shares, shares, failed=_log_share_not_claimed)
        # Whether an endpoint has more due than it got is known only when those are claimed.
        return NextClaim.WHEN_A_PLACE_IS_FREE

    def id_of(self, job: ClaimedDelivery) -> str:
        """Return the id of the delivery."""
        return job.delivery.id

    def lease_ends_at(self, job: ClaimedDelivery) -> Instant:
        """Return when the lease ends: that is when a leased delivery is due."""
        return job.delivery.due_at or 0

    async def run(self, job: ClaimedDelivery) -> RecordTry | None:
        """Send the webhook, unless the lease is over: then another process may be sending it."""
        return None if self._clock() >= self.lease_ends_at(job) else await self._try(job)

    async def record(self, job: ClaimedDelivery, result: RecordTry) -> None:
        """Record the try. A defect must not make the webhook be sent again for ever: then the try is recorded without
        anything that the receiver answered. It counts as a failed one, so the schedule of tries ends.
        """
        try:
            await self._writer.submit(record_tries, result)
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            log.exception("try_not_recorded", delivery_id=job.delivery.id)
            failed = msgspec.structs.replace(
                result, status_code=None, error=NOT_RECORDED, answer=None, retry_after_seconds=None
            )
            await self._writer.submit(record_tries, failed)

    def job_ended(self, job: ClaimedDelivery) -> None:
        """Free the place of the delivery."""
        self._places.release(job)

    async def release(self, jobs: Sequence[ClaimedDelivery]) -> None:
        """End leases, so that another process need not wait for their end."""
        held = [Held(job.delivery.id, job.delivery.merchant_id, job.delivery.fence) for job in jobs]
        await self._writer.submit(release_deliveries, held)

    async def _try(self, claimed: ClaimedDelivery) -> RecordTry | None:
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
        except ReceiverCallFailed as error:
            error_text = str(error)
        except Exception:
            # An internal error must neither end the delivery nor stay unnoticed.
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


class Sender:
    """Sends deliveries from this process, and maintains them: see maintenance.py."""

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
        self._clock = clock
        self._upkeep = make_upkeep_poller(writer, reader, poll_seconds=settings.poll_seconds)
        queue = DeliveryQueue(
            writer, reader, receivers, keyring, settings, clock=clock, chance=chance, found_due=self._upkeep.wake
        )
        self._worker = LeasedWorker(
            "deliveries",
            queue,
            poll_seconds=settings.poll_seconds,
            clock=clock,
            chance=chance,
            wake_delay_seconds=WAKE_DELAY_SECONDS,
        )

    async def start(self, *, alone: bool) -> None:
        """Start to send. ``alone``: no other process can hold a lease, so all leases are those of dead processes."""
        if alone:
            await self._writer.submit(release_all_deliveries, None)
        self._writer.add_commit_listener(self._committed)
        self._reader.add_commit_listener(self._committed)
        self._worker.start()
        self._upkeep.start()

    def _committed(self, notice: CommitNotice) -> None:
        """Have deliveries sent when they are due, and ranges redelivered that have just been ordered."""
        for at in notice.due_in(delivery).values():
            self._worker.wake_in((at - self._clock()) / 1000)
        if notice.due_in(redelivery):
            self._upkeep.wake()

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for the running calls, then release the leases of those that have not ended."""
        await asyncio.gather(self._upkeep.stop(), self._worker.stop(grace_seconds=grace_seconds))


def _log_share_not_claimed(share: Share, error: Exception) -> None:
    log.error("deliveries_not_claimed", endpoint_id=share.endpoint_id, exc_info=error)


def read_retry_after(value: str | None, now: Instant) -> int | None:
    """Read ``Retry-After``, seconds or a date; None where it is absent or makes no sense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            return None
        return max(0, round(moment.timestamp() - now / 1000))
    except (ValueError, TypeError, IndexError, OverflowError):  # A receiver may write any date.
        return None
