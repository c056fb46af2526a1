"""Ids: a prefix, 26 characters that sort by time, and no duplicates."""

import re
from base64 import b32hexdecode
from concurrent.futures import ThreadPoolExecutor

import pytest

from paidonce import ids
from paidonce.clock import system_clock

PREFIXES = [value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str) and len(value) < 5]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_its_prefix_and_26_characters_of_base32(prefix: str) -> None:
    assert re.fullmatch(rf"{prefix}_[0-9a-v]{{26}}", ids.new_id(prefix))


def test_no_two_kinds_share_a_prefix() -> None:
    assert len(set(PREFIXES)) == len(PREFIXES)


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    made = [ids.new_id(ids.CHECKOUT) for _ in range(20_000)]
    assert made == sorted(made)


def test_no_id_is_made_twice_by_threads_at_once() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: ids.new_id(ids.EVENT), range(20_000)))
    assert len(set(made)) == len(made)


def test_an_id_begins_with_the_millisecond_in_which_it_was_made() -> None:
    before = system_clock()
    uuid = b32hexdecode(ids.new_id(ids.ATTEMPT).removeprefix("att_").upper() + "======")
    assert before <= int.from_bytes(uuid[:6]) <= system_clock()


def test_the_time_of_an_id_is_read_from_it_and_the_lowest_id_of_a_time_precedes_it() -> None:
    before = system_clock()
    made = ids.new_id(ids.CHECKOUT)
    assert before <= ids.milliseconds_of(made) <= system_clock()
    lowest = ids.lowest_id(ids.CHECKOUT, ids.milliseconds_of(made))
    assert ids.lowest_id(ids.CHECKOUT, ids.milliseconds_of(made) + 1) > made >= lowest
    assert re.fullmatch(ids.pattern(ids.CHECKOUT), lowest)
    assert ids.milliseconds_of(lowest) == ids.milliseconds_of(made)


def test_chance_is_at_least_0_and_below_1() -> None:
    drawn = [ids.system_chance() for _ in range(1000)]
    assert all(0 <= one < 1 for one in drawn)
    assert len(set(drawn)) > 900


def test_an_id_is_its_16_bytes_and_they_are_the_id() -> None:
    for _ in range(100):
        made = ids.new_id(ids.CHECKOUT)
        assert len(ids.bytes_of(made)) == 16
        assert ids.id_from_bytes(ids.CHECKOUT, ids.bytes_of(made)) == made
    assert ids.id_from_bytes("x", bytes([255]) * 16) == f"x_{'v' * 25}s"
    assert ids.id_from_bytes("x", bytes(16)) == f"x_{'0' * 26}"
