"""The format of API keys, which scanners recognize, and their hash, from which no key can be recovered."""

import re
from zlib import crc32

import pytest

from paidonce import ids
from paidonce.merchants.model import Mode
from paidonce.merchants.secret import (
    CHECKSUM_LENGTH,
    RANDOM_LENGTH,
    SHOWN_LENGTH,
    hash_secret,
    is_well_formed,
    make_secret,
    shorten_secret,
)

DRAWN = "0123456789ABCDEFGHIJKLMNOPQRST"


def decoded(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + ids.BASE62.index(digit)
    return number


@pytest.mark.parametrize("mode", Mode)
def test_a_key_is_a_prefix_30_random_characters_and_the_crc_of_both(mode: Mode) -> None:
    secret = make_secret(mode, DRAWN)
    assert re.fullmatch(r"sk_(test|live)_[0-9A-Za-z]{36}", secret)
    assert secret.startswith(f"sk_{mode}_{DRAWN}")
    assert decoded(secret[-CHECKSUM_LENGTH:]) == crc32(secret[:-CHECKSUM_LENGTH].encode())
    assert is_well_formed(secret)


def test_the_form_never_changes() -> None:
    """The format must not change, because scanners know it. This key is from the first release."""
    assert make_secret(Mode.TEST, DRAWN) == FIRST


FIRST = "sk_test_0123456789ABCDEFGHIJKLMNOPQRST06ImRt"


def test_a_key_with_any_one_character_changed_is_none() -> None:
    secret = make_secret(Mode.LIVE, DRAWN)
    for place in range(len(secret)):
        for other in "0Az_":
            changed = secret[:place] + other + secret[place + 1 :]
            assert is_well_formed(changed) == (changed == secret)


@pytest.mark.parametrize("text", ["", "sk_test_", "sk_test_" + "0" * 36, "sk_live_\xe9", "Bearer", "x" * 100_000])
def test_what_only_looks_like_a_key_is_none(text: str) -> None:
    assert not is_well_formed(text)


def test_what_is_shown_of_a_key_leaves_more_than_128_bits_unknown() -> None:
    secret = make_secret(Mode.TEST, DRAWN)
    assert shorten_secret(secret) == "sk_test_0123…"
    assert 62 ** (RANDOM_LENGTH - SHOWN_LENGTH) > 2**128


def test_a_key_is_stored_as_its_sha_256() -> None:
    assert hash_secret(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2.


def test_chance_draws_every_character_and_none_twice_the_same() -> None:
    random_part = [ids.draw_base62(RANDOM_LENGTH) for _ in range(2000)]
    assert len(set(random_part)) == len(random_part)
    assert set("".join(random_part)) == set(ids.BASE62)
