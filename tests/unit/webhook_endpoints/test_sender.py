"""How a sender shares its places out, and what it makes of what receivers answer."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import example, given, strategies as st
from sqlalchemy import select

from paidonce.clock import Instant
from paidonce.database.batcher import Batcher
from paidonce.database.schema import delivery_try
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.delivery_actions import record_tries
from paidonce.webhook_endpoints.due_delivery_store import Waiting
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, RETRY_SECONDS
from paidonce.webhook_endpoints.redelivery import RedeliverRange, redeliver_ranges
from paidonce.webhook_endpoints.sender import EndpointPlaces, read_retry_after
from tests.unit.webhook_endpoints.conftest import Outgoing
from tests.unit.webhook_endpoints.running import KEYRING, answering, running, until

NOW: Final[Instant] = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", None),
        ("1e9", None),
        ("9" * 60, 999_999_999),
        ("\u0661", None),
        ("soon", None),
        ("", None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Tue, 14 Nov 2023", None),
        ("Tue, 14 Nov 2023 22:14:20", None),
        ("Tue, 14 Nov 2023 22:14:20 -0000", None),  # A time of day of nobody knows where.
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(said: str | None, seconds: int | None) -> None:
    assert read_retry_after(said, NOW) == seconds


# What a date may be made of, so that the examples are nearly dates and not only noise.
DATE_PARTS: Final = st.sampled_from(
    [
        "Tue,",
        "14",
        "Nov",
        "2023",
        "22:13:20",
        "GMT",
        "+9999999999",
        "-0000",
        "9" * 30,
        "0",
        "1e9",
        "99:99:99",
        "-1",
        ",",
    ]
)


@given(st.text(max_size=64) | st.lists(DATE_PARTS, max_size=8).map(" ".join))
@example("Fri, 31 Dec 99999999999999999999 23:59:59 GMT")
@example("Tue, 14 Nov 2023 22:13:20 +99999999999999999999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_whatever_retry_after_says_it_is_a_number_of_seconds_or_nothing(said: str) -> None:
    seconds = read_retry_after(said, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("status", [200, 503])
async def test_a_try_whose_answer_bears_an_absurd_date_is_recorded(outgoing: Outgoing, status: int) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    receiver = answering(status, retry_after="Fri, 31 Dec 99999999999999999999 23:59:59 GMT")
    async with running(outgoing, receiver):
        await until(lambda: outgoing.rows(mine)[0].status != "SENDING" and bool(receiver.posted))
    assert [one.status_code for one in tries(outgoing)] == [status]
    assert outgoing.rows(mine)[0].failures == (status != 200)


@pytest.mark.parametrize(
    ("beginning", "kept"),
    [
        (b"a\0b\0", "a\ufffdb\ufffd"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (bytes(range(256)), "\ufffd" + bytes(range(1, 128)).decode() + "\ufffd" * 128),
    ],
)
async def test_whatever_bytes_a_receiver_answers_the_try_is_recorded_with_a_text_that_every_database_takes(
    outgoing: Outgoing, beginning: bytes, kept: str
) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    async with running(outgoing, answering(200, beginning=beginning)):
        await until(lambda: outgoing.rows(mine)[0].status == "DELIVERED")
    assert [(one.status_code, one.answer) for one in tries(outgoing)] == [(200, kept)]


class RefusesAnswers:
    """A writer that fails on every record of a try that holds what a receiver answered, as a defect of ours would."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        if action is record_tries and request.answer is not None:
            raise ZeroDivisionError
        return await self._batcher.submit(action, request)


async def test_a_try_that_cannot_be_recorded_counts_as_failed_and_so_ends(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    receiver = answering(200)
    async with running(outgoing, receiver, writer=RefusesAnswers):
        while outgoing.rows(mine)[0].status != "FAILED":
            before = len(receiver.posted)
            outgoing.now = outgoing.rows(mine)[0].due_at
            await until(lambda: len(receiver.posted) > before)  # noqa: B023 - it is called within this round
            await until(lambda: outgoing.rows(mine)[0].status != "SENDING")
    assert len(receiver.posted) == len(tries(outgoing)) == len(RETRY_SECONDS) + 1
    assert {one.error for one in tries(outgoing)} == {"the sender could not record the answer"}


def tries(outgoing: Outgoing) -> list[Any]:
    with outgoing.database.read() as transaction:
        return list(transaction.rows(select(delivery_try).order_by(delivery_try.c.number)))


async def test_a_sender_carries_out_what_is_ordered_and_ends_what_deleted_endpoints_left(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.redelivery.STEP_EVENTS_MAX", 3)
    outgoing.happen(*["m1"] * 10)
    mine, gone = outgoing.endpoint(keyring=KEYRING), outgoing.endpoint(keyring=KEYRING)
    names = [TenantScopedId(one.id, "m1") for one in (mine, gone)]
    outgoing.do(
        redeliver_ranges,
        *(RedeliverRange(id=f"rdl_{one.id}", endpoint=one, from_sequence=1, to_sequence=10) for one in names),
    )
    outgoing.change(gone, deleted=True)
    async with running(outgoing, answering(200)):
        await until(lambda: [row.status for row in outgoing.rows(mine)] == ["DELIVERED"] * 10)
        await until(lambda: {row.status for row in outgoing.rows(gone)} == {"DROPPED"})
    assert not outgoing.keep_up()


def waiting(name: str, *, is_failing: bool = False) -> Waiting:
    return Waiting(name, "m1", is_failing=is_failing)


def test_a_healthy_endpoint_gets_its_places_and_a_failing_one_a_single_place() -> None:
    shares = EndpointPlaces(100).share([waiting("healthy"), waiting("failing", is_failing=True)])
    assert [(one.endpoint_id, one.places) for one in shares] == [("healthy", PLACES_OF_AN_ENDPOINT), ("failing", 1)]


def test_all_failing_endpoints_together_get_half_of_the_places() -> None:
    failing = [waiting(str(number), is_failing=True) for number in range(100)]
    assert len(EndpointPlaces(10).share(failing)) == 5


def test_no_more_is_shared_out_than_there_is() -> None:
    many = [waiting(str(number)) for number in range(100)]
    assert sum(one.places for one in EndpointPlaces(20).share(many)) == 20
