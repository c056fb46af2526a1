"""Which passwords are accepted, how they are verified, and how many may wait."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from paidonce.errors import Overloaded
from paidonce.users import passwords
from paidonce.users.passwords import PasswordHasher, check_password

EMAIL = "Alice@example.com"


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    made = PasswordHasher()
    yield made
    made.close()


@pytest.mark.parametrize("password", ["abcdefghijkl", "aabbccddeeff", "correct horse battery", "äöüßéèêàçñõ¿"])
def test_a_password_of_twelve_characters_with_six_different_ones_is_accepted(password: str) -> None:
    assert check_password(password, EMAIL) is None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("abcdefghijk", "12 characters or more"),
        ("abcdeabcdeabcde", "repeats too few"),
        ("my name is alice!", "e-mail address"),
        ("my name is ALICE!", "e-mail address"),
    ],
)
def test_a_password_that_is_short_or_repeats_or_has_the_name_of_the_address_is_refused(
    password: str, reason: str
) -> None:
    assert reason in (check_password(password, EMAIL) or "")


async def test_only_the_password_of_a_hash_is_right_however_its_letters_are_composed(hasher: PasswordHasher) -> None:
    hashed, again = await hasher.hash("pässword in French"), await hasher.hash("pässword in French")
    assert hashed != again
    assert await hasher.verify("pa\u0308ssword in French", hashed)
    assert not await hasher.verify("password in French", hashed)
    assert not await hasher.verify("", None)


async def test_log_ins_beyond_those_that_may_wait_are_refused_until_others_have_ended(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)
    let_go = threading.Event()

    def verify(_password: str, _hashed: str) -> bool:
        return let_go.wait()

    monkeypatch.setattr(passwords, "_verify", verify)
    waiting = [asyncio.create_task(hasher.verify("x", "y")) for _ in range(3)]
    await asyncio.sleep(0)
    try:
        with pytest.raises(Overloaded):
            await hasher.verify("x", "y")
    finally:
        let_go.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await hasher.verify("x", "y")
