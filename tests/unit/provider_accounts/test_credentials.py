"""Credentials: which are accepted, what is shown of them, and that they are readable only in their own row."""

from typing import Final

import pytest

from paidonce.encryption import KEY_BYTES, Keyring
from paidonce.errors import EncryptionKeyMissing
from paidonce.ids import secret_bytes
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.credentials import find_faults, make_hints, open_credentials, seal_credentials
from paidonce.provider_accounts.model import AccountStatus, ProviderAccount
from tests.support.fake_connector import CREDENTIALS, KEY, LIVE_KEY, PIN, FakeConnector

CONNECTOR: Final = FakeConnector().connector
KEYRING: Final = Keyring(lambda: [bytes(KEY_BYTES)], draw=secret_bytes)


def account(credentials: str, **fields: str) -> ProviderAccount:
    values = {"id": "pac_1", "merchant_id": "m1", **fields}
    return ProviderAccount(
        **values,
        provider="fake",
        mode=Mode.TEST,
        name="",
        status=AccountStatus.ACTIVE,
        credentials=credentials,
        hints="{}",
        position=1,
        version=0,
        created_at=0,
        updated_at=0,
        disabled_at=None,
    )


def test_credentials_that_the_provider_asks_for_are_accepted() -> None:
    assert find_faults(CONNECTOR, "test", CREDENTIALS) == []
    assert find_faults(CONNECTOR, "test", {"apiKey": KEY}) == []
    assert find_faults(CONNECTOR, "live", {"apiKey": LIVE_KEY}) == []


@pytest.mark.parametrize(
    ("credentials", "faults"),
    [
        ({}, [("/credentials/apiKey", "missing")]),
        ({"apiKey": KEY, "x/y~z": "1"}, [("/credentials/x~1y~0z", "unknown_field")]),
        ({"apiKey": "hunter2"}, [("/credentials/apiKey", "wrong_format")]),
        ({"apiKey": f"{KEY}\n"}, [("/credentials/apiKey", "wrong_format")]),
        ({"apiKey": f" {KEY}"}, [("/credentials/apiKey", "wrong_format")]),
        ({"apiKey": KEY, "pin": ""}, [("/credentials/pin", "wrong_format")]),
        ({"apiKey": LIVE_KEY}, [("/credentials/apiKey", "invalid_value")]),
        ({"pin": "x", "more": "y"}, [("more", "unknown_field"), ("apiKey", "missing"), ("pin", "wrong_format")]),
    ],
)
def test_what_is_wrong_with_credentials_is_named_and_not_repeated(
    credentials: dict[str, str], faults: list[tuple[str, str]]
) -> None:
    found = find_faults(CONNECTOR, "test", credentials)
    expected = [(pointer if pointer.startswith("/") else f"/credentials/{pointer}", code) for pointer, code in faults]
    assert [(one.pointer, one.code) for one in found] == expected
    assert "hunter2" not in str(found)
    assert LIVE_KEY not in str(found)


def test_of_a_secret_its_last_four_characters_are_shown_and_of_a_short_one_nothing() -> None:
    hints = make_hints(CONNECTOR, CREDENTIALS)
    assert hints == {"apiKey": f"…{KEY[-4:]}", "pin": "…", "shopName": "The shop"}
    assert PIN not in str(hints)
    assert make_hints(CONNECTOR, {"pin": "1" * 12}) == {"pin": "…"}
    assert make_hints(CONNECTOR, {"pin": "1234567890abc"}) == {"pin": "…0abc"}


def test_credentials_can_be_read_in_their_own_row_only() -> None:
    sealed = seal_credentials(KEYRING, CREDENTIALS, merchant_id="m1", account_id="pac_1")
    assert KEY not in sealed
    assert open_credentials(KEYRING, account(sealed)) == CREDENTIALS
    for other in (account(sealed, merchant_id="m2"), account(sealed, id="pac_2")):
        with pytest.raises(ValueError, match="belongs to another row"):
            open_credentials(KEYRING, other)
    middle = len(sealed) // 2
    changed = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    with pytest.raises(ValueError, match="was changed"):
        open_credentials(KEYRING, account(changed))


def test_after_a_rotation_of_the_encryption_keys_old_credentials_can_be_read_until_their_key_is_gone() -> None:
    old, new = secret_bytes(KEY_BYTES), secret_bytes(KEY_BYTES)
    sealed = seal_credentials(
        Keyring(lambda: [old], draw=secret_bytes), CREDENTIALS, merchant_id="m1", account_id="pac_1"
    )
    assert open_credentials(Keyring(lambda: [new, old], draw=secret_bytes), account(sealed)) == CREDENTIALS
    with pytest.raises(EncryptionKeyMissing):
        open_credentials(Keyring(lambda: [new], draw=secret_bytes), account(sealed))
