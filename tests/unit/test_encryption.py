"""Encryption of secrets: bound to their row, and decrypted with any of the keys."""

import os
import stat
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from paidonce.encryption import KEY_BYTES, NONCE_BYTES, Keyring, key_id, read_keys, read_or_create_key_file, write_key
from paidonce.errors import EncryptionKeyMissing

OLD = bytes(KEY_BYTES)
NEW = bytes([1]) * KEY_BYTES
SECRET = b"a secret of thirty-two bytes ..."


def ring(*keys: bytes) -> Keyring:
    return Keyring(lambda: keys, draw=os.urandom)


def test_a_secret_opens_with_its_key_and_what_it_is_about() -> None:
    sealed = ring(NEW).seal(SECRET, "m1", "whe_1")
    assert ring(NEW).open(sealed, "m1", "whe_1") == SECRET
    assert sealed != ring(NEW).seal(SECRET, "m1", "whe_1")
    assert SECRET.decode() not in sealed


@pytest.mark.parametrize("about", [("m2", "whe_1"), ("m1", "whe_2"), ("m1w", "he_1"), ("m1",)])
def test_a_secret_is_of_no_use_in_another_row(about: tuple[str, ...]) -> None:
    sealed = ring(NEW).seal(SECRET, "m1", "whe_1")
    with pytest.raises(ValueError, match="changed, or belongs to another row"):
        ring(NEW).open(sealed, *about)


def test_the_first_key_seals_and_every_key_opens() -> None:
    sealed = ring(OLD).seal(SECRET, "m1")
    both = ring(NEW, OLD)
    assert both.open(sealed, "m1") == SECRET
    assert (both.is_current(sealed), both.is_current(both.seal(SECRET, "m1"))) == (False, True)


def test_a_key_for_another_purpose_is_derived_from_each_key_and_tells_nothing_of_it() -> None:
    both = ring(NEW, OLD)
    derived = both.derive("tokens", 32)
    assert derived == [*ring(NEW).derive("tokens", 32), *ring(OLD).derive("tokens", 32)]
    assert len({*derived, *both.derive("others", 32), NEW, OLD}) == 6
    assert [len(one) for one in ring(NEW).derive("tokens", 64)] == [64]
    with pytest.raises(EncryptionKeyMissing):
        ring().derive("tokens", 32)


def test_without_the_key_the_error_names_the_key_the_setting_and_the_command() -> None:
    with pytest.raises(EncryptionKeyMissing, match=f"{key_id(OLD)} is not configured.*PAIDONCE_ENCRYPTION_KEYS"):
        ring(NEW).open(ring(OLD).seal(SECRET, "m1"), "m1")
    with pytest.raises(EncryptionKeyMissing, match="paidonce encryption-key"):
        ring().seal(SECRET, "m1")


def test_what_another_release_sealed_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="v9"):
        ring(NEW).open("v9.x.y", "m1")


def test_keys_are_read_as_they_are_written_and_a_wrong_one_is_never_repeated() -> None:
    assert read_keys(f" {write_key(NEW)},{write_key(OLD)} ,") == [NEW, OLD]
    for wrong in (
        "hunter2",
        "pek_hunter2",
        write_key(NEW).removeprefix("pek_"),
        write_key(NEW)[:-1],
        write_key(NEW) + "AAAA",
    ):
        with pytest.raises(ValueError, match="paidonce encryption-key") as refused:
            read_keys(wrong)
        assert wrong not in str(refused.value)


def test_a_key_file_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.db.key"
    assert read_or_create_key_file(path, make=None) == []
    made = read_or_create_key_file(path, make=os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_create_key_file(path, make=os.urandom) == read_or_create_key_file(path, make=None) == made
    assert [each.name for each in tmp_path.iterdir()] == ["dev.db.key"]


def test_making_a_key_file_leaves_no_file_open(tmp_path: Path) -> None:
    before = set(Path("/dev/fd").iterdir())
    read_or_create_key_file(tmp_path / "dev.db.key", make=os.urandom)
    assert set(Path("/dev/fd").iterdir()) <= before


def test_two_seals_of_one_secret_by_one_keyring_differ() -> None:
    keyring = ring(NEW)
    sealed = [keyring.seal(SECRET, "m1", "whe_1") for _ in range(3)]
    nonces = {urlsafe_b64decode(one.split(".")[2])[:NONCE_BYTES] for one in sealed}
    assert len(nonces) == 3
    assert {keyring.open(one, "m1", "whe_1") for one in sealed} == {SECRET}


def test_a_key_file_is_on_disk_before_its_name_is_and_its_name_before_the_key_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dev.db.key"
    done: list[tuple[str, int, int]] = []
    sync, link = os.fsync, os.link

    def noted_sync(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        done.append(("synced", status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_size))

    def noted_link(source: Path, target: Path) -> None:
        link(source, target)
        done.append(("named", target.stat().st_ino, target.stat().st_size))

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "link", noted_link)
    read_or_create_key_file(path, make=os.urandom)
    key = path.stat()
    assert done == [
        ("synced", key.st_ino, key.st_size),
        ("named", key.st_ino, key.st_size),
        ("synced", tmp_path.stat().st_ino, 0),
    ]
