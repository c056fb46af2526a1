"""How a sender shares its places out, and what it makes of what receivers ask for."""

from typing import Final

import pytest

from paidonce.clock import Instant
from paidonce.database.batcher import threaded_batcher
from paidonce.encryption import Keyring
from paidonce.outbox.calling import Answer
from paidonce.outbox.deliveries import Waiting
from paidonce.outbox.model import PLACES_OF_AN_ENDPOINT, Schedule
from paidonce.outbox.sender import Sender, SenderSettings, read_retry_after

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
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(said: str | None, seconds: int | None) -> None:
    assert read_retry_after(said, NOW) == seconds


class Nobody:
    """A receiver that is never called."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        raise AssertionError(f"{url} was called with {headers} and {body!r}")


def sender(concurrency: int) -> Sender:
    def refuse() -> list[bytes]:
        raise AssertionError("a key was asked for")

    def begin() -> None:
        raise AssertionError("a transaction was begun")

    batcher = threaded_batcher(begin, name="never", queue_limit=1, batch_limit=1, chance=lambda: 0.5)  # type: ignore[arg-type]
    settings = SenderSettings(timeout_seconds=1, concurrency=concurrency, poll_seconds=1, schedule=Schedule())
    keyring = Keyring(refuse, draw=bytes)
    return Sender(batcher, batcher, Nobody(), keyring, settings, clock=lambda: NOW, chance=lambda: 0.5)


def waiting(name: str, *, is_failing: bool = False) -> Waiting:
    return Waiting(name, "m1", is_failing=is_failing, is_deleted=False)


def test_a_healthy_endpoint_gets_its_places_and_a_failing_one_a_single_place() -> None:
    shares = sender(100)._shares([waiting("healthy"), waiting("failing", is_failing=True)])  # noqa: SLF001 - its one rule
    assert [(one.endpoint_id, one.places) for one in shares] == [("healthy", PLACES_OF_AN_ENDPOINT), ("failing", 1)]


def test_all_failing_endpoints_together_get_half_of_the_places() -> None:
    failing = [waiting(str(number), is_failing=True) for number in range(100)]
    assert len(sender(10)._shares(failing)) == 5  # noqa: SLF001 - as above


def test_no_more_is_shared_out_than_there_is() -> None:
    many = [waiting(str(number)) for number in range(100)]
    assert sum(one.places for one in sender(20)._shares(many)) == 20  # noqa: SLF001 - as above
