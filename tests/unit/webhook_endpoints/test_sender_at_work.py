"""The sender at work, on both databases: what it posts, what it holds, what it gives back, and what it leaves alone."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from standardwebhooks import Webhook

from paidonce.database.batcher import Batcher
from paidonce.encryption import Keyring
from paidonce.webhook_endpoints.delivery_actions import claim_deliveries
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT
from paidonce.webhook_endpoints.receiver_messages import Answer, ReceiverCallFailed
from tests.unit.webhook_endpoints.conftest import LEASE_MS, Outgoing
from tests.unit.webhook_endpoints.running import KEYRING, Receiver, answering, running, until
from tests.unit.webhook_endpoints.test_sender import tries

SENDER_LEASE_MS: Final = 3000  # Three times the time-out of the sender in these tests.


class Gate:
    """A receiver that keeps every call until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.at_once = 0
        self.at_once_max = 0
        self.receiver = Receiver(self._post)

    async def _post(self, _url: str, _headers: dict[str, str], _body: bytes) -> Answer:
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            await self.opened.wait()
        finally:
            self.at_once -= 1
        return Answer(200, None, b"")


def failing(error: Exception) -> Receiver:
    async def post(_url: str, _headers: dict[str, str], _body: bytes) -> Answer:
        raise error

    return Receiver(post)


async def test_a_webhook_is_signed_and_says_what_it_is_and_its_delivery_is_recorded(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    receiver = answering(204, beginning=b"hello")
    async with running(outgoing, receiver):
        await until(lambda: outgoing.rows(mine)[0].status == "DELIVERED")
    ((url, headers, body),) = receiver.posted
    assert url == "https://shop.example/hook"
    assert {name: headers[name] for name in ("Content-Type", "User-Agent", "Accept")} == {
        "Content-Type": "application/json",
        "User-Agent": "paidonce",
        "Accept": "*/*",
    }
    assert headers["webhook-id"] == json.loads(body)["data"]["id"]
    assert headers["webhook-timestamp"] == str(outgoing.now // 1000)
    signed = Webhook(b64encode(b"s" * 32).decode()).sign(
        headers["webhook-id"], datetime.fromtimestamp(outgoing.now // 1000, UTC), body.decode()
    )
    assert headers["webhook-signature"] == signed
    (one,) = tries(outgoing)
    assert (one.status_code, one.error, one.answer, one.started_at) == (204, None, "hello", outgoing.now)
    assert 0 <= one.duration_ms < 30_000


@pytest.mark.parametrize("status", [100, 199, 300, 307, 404, 500])
async def test_whatever_is_not_2xx_is_a_failure(outgoing: Outgoing, status: int) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    async with running(outgoing, answering(status)):
        await until(lambda: len(tries(outgoing)) == 1)
    (one,) = tries(outgoing)
    assert (one.status_code, one.error) == (status, f"answered {status}")
    assert (outgoing.rows(mine)[0].status, outgoing.rows(mine)[0].failures) == ("PENDING", 1)
    assert outgoing.read(mine).failing_since == outgoing.now


@pytest.mark.parametrize(
    ("error", "said"),
    [(ReceiverCallFailed("cannot connect"), "cannot connect"), (ZeroDivisionError(), "the sender failed")],
)
async def test_a_call_without_an_answer_is_a_failure_that_says_why(
    outgoing: Outgoing, error: Exception, said: str
) -> None:
    outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    async with running(outgoing, failing(error)):
        await until(lambda: len(tries(outgoing)) == 1)
    (one,) = tries(outgoing)
    assert (one.status_code, one.error, one.answer) == (None, said, None)


async def test_retry_after_puts_the_next_try_off(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    async with running(outgoing, answering(503, retry_after="120")):
        await until(lambda: len(tries(outgoing)) == 1)
    assert outgoing.rows(mine)[0].due_at == outgoing.now + 120_000


async def test_an_endpoint_has_eight_calls_under_way_at_once_and_all_together_as_many_as_there_are_places(
    outgoing: Outgoing,
) -> None:
    endpoints = [outgoing.endpoint(merchant, keyring=KEYRING) for merchant in ("m1", "m2", "m3")]
    outgoing.happen(*["m1"] * 12, *["m2"] * 12, *["m3"] * 12)
    gate = Gate()
    async with running(outgoing, gate.receiver, concurrency=20):
        await until(lambda: gate.at_once == 20)
        held = [[row.status for row in outgoing.rows(one)].count("SENDING") for one in endpoints]
        assert sorted(held) == [4, PLACES_OF_AN_ENDPOINT, PLACES_OF_AN_ENDPOINT]
        gate.opened.set()
        await until(lambda: {row.status for one in endpoints for row in outgoing.rows(one)} == {"DELIVERED"})
    assert gate.at_once_max == 20
    assert len(gate.receiver.posted) == 36


async def test_a_failing_endpoint_gets_one_call_at_a_time_until_one_succeeds(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen(*["m1"] * 10)
    outgoing.record(*outgoing.claim(mine, places=1), status=500)
    gate = Gate()
    async with running(outgoing, gate.receiver):
        await until(lambda: gate.at_once == 1)
        assert [row.status for row in outgoing.rows(mine)].count("SENDING") == 1
        gate.opened.set()
        await until(lambda: [row.status for row in outgoing.rows(mine)].count("DELIVERED") == 9)
    assert outgoing.read(mine).failing_since is None


async def test_a_sender_that_is_alone_takes_over_at_once_what_a_dead_one_held(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    outgoing.claim(mine)
    async with running(outgoing, answering(200), alone=True):
        await until(lambda: outgoing.rows(mine)[0].status == "DELIVERED")


async def test_a_sender_beside_others_waits_for_the_end_of_their_leases(outgoing: Outgoing) -> None:
    mine, other = outgoing.endpoint(keyring=KEYRING), outgoing.endpoint("m2", keyring=KEYRING)
    outgoing.happen("m1")
    outgoing.claim(mine)
    outgoing.happen("m2")
    receiver = answering(200)
    async with running(outgoing, receiver):
        await until(lambda: outgoing.rows(other)[0].status == "DELIVERED")
        assert (outgoing.rows(mine)[0].status, len(receiver.posted)) == ("SENDING", 1)
        outgoing.now += LEASE_MS
        await until(lambda: outgoing.rows(mine)[0].status == "DELIVERED")


class AnswersLate:
    """A writer whose first answer to a claim arrives when the lease has just ended."""

    def __init__(self, batcher: Batcher, outgoing: Outgoing) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener
        self._outgoing = outgoing
        self._is_late = True

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        answer = await self._batcher.submit(action, request)
        if action is claim_deliveries and answer and self._is_late:
            self._is_late = False
            self._outgoing.now += SENDER_LEASE_MS
        return answer


async def test_what_is_claimed_for_a_lease_that_is_over_is_not_sent_before_it_is_claimed_again(
    outgoing: Outgoing,
) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    receiver = answering(200)
    async with running(outgoing, receiver, writer=lambda writes: AnswersLate(writes, outgoing)):
        await until(lambda: outgoing.rows(mine)[0].status == "DELIVERED")
    assert (len(receiver.posted), [one.number for one in tries(outgoing)]) == (1, [2])


async def test_stopping_waits_for_what_is_under_way_and_gives_the_rest_back(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    gate = Gate()
    async with running(outgoing, gate.receiver, grace_seconds=0.05):
        await until(lambda: gate.at_once == 1)
        assert outgoing.rows(mine)[0].due_at == outgoing.now + SENDER_LEASE_MS
    (row,) = outgoing.rows(mine)
    assert (row.status, row.due_at, row.fence) == ("PENDING", outgoing.now, 1)
    assert tries(outgoing) == []
    async with running(outgoing, gate.receiver) as sender:
        await until(lambda: gate.at_once == 1)
        stopping = asyncio.create_task(sender.stop(grace_seconds=30))
        await asyncio.sleep(0)
        gate.opened.set()
        await stopping
        assert outgoing.rows(mine)[0].status == "DELIVERED"


async def test_without_an_encryption_key_nothing_is_sent_and_nothing_fails(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    receiver = answering(200)
    async with running(outgoing, receiver, keyring=Keyring(list, draw=bytes)):
        await until(lambda: outgoing.rows(mine)[0].status == "SENDING")
    assert (receiver.posted, tries(outgoing)) == ([], [])
