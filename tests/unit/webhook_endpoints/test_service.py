"""What the API asks of the outbox: a secret that can be opened for its endpoint alone, and a look at a URL."""

import secrets
from base64 import b64decode
from pathlib import Path
from typing import Final

import pytest

from paidonce.encryption import KEY_BYTES, Keyring, key_finder, write_key
from paidonce.errors import EncryptionKeyMissing
from paidonce.webhook_endpoints.model import Schedule, WebhookEndpoint
from paidonce.webhook_endpoints.secrets import open_secret, seal_secret, shorten_secret, signing_keys
from paidonce.webhook_endpoints.sender import SenderSettings
from paidonce.webhook_endpoints.service import WebhookEndpointService
from paidonce.webhook_endpoints.ssrf import UrlRefused
from tests.unit.webhook_endpoints.conftest import NOW, Outgoing
from tests.unit.webhook_endpoints.running import KEYRING, batcher

OTHERS: Final = [("m2", "whe_1"), ("m1", "whe_2")]


def endpoint(merchant_id: str = "m1", endpoint_id: str = "whe_1", **fields: object) -> WebhookEndpoint:
    values: dict[str, object] = {
        "id": endpoint_id,
        "merchant_id": merchant_id,
        "mode": "test",
        "url": "https://shop.example/",
        "event_types": None,
        "description": None,
        "secret": seal_secret(KEYRING, b"new", merchant_id="m1", endpoint_id="whe_1"),
        "former_secret": seal_secret(KEYRING, b"old", merchant_id="m1", endpoint_id="whe_1"),
        "former_secret_until": NOW,
        "failing_since": None,
        "paused_at": None,
        "pause_reason": None,
        "version": 0,
        "created_at": NOW,
        "updated_at": NOW,
        "deleted_at": None,
    }
    return WebhookEndpoint(**{**values, **fields})  # type: ignore[arg-type] # as they are above


def outbox(outgoing: Outgoing, keyring: Keyring = KEYRING, *, allow_private: bool = False) -> WebhookEndpointService:
    settings = SenderSettings(timeout_seconds=1, concurrency=16, poll_seconds=3600, schedule=Schedule())
    writes, reads = batcher(outgoing.database.write), batcher(outgoing.database.read)
    return WebhookEndpointService(
        writes,
        reads,
        settings,
        allow_private=allow_private,
        keyring=keyring,
        clock=lambda: outgoing.now,
        chance=lambda: 0.5,
        draw=secrets.token_bytes,
    )


def test_a_former_secret_signs_until_its_time_is_over_and_after_the_new_one() -> None:
    assert signing_keys(KEYRING, endpoint(), now=NOW - 1) == [b"new", b"old"]
    assert signing_keys(KEYRING, endpoint(), now=NOW) == [b"new"]
    never = endpoint(former_secret=None, former_secret_until=None)
    assert signing_keys(KEYRING, never, now=NOW - 1) == [b"new"]
    deleted = endpoint(secret=None, former_secret=None, former_secret_until=None)
    assert signing_keys(KEYRING, deleted, now=NOW) == []


@pytest.mark.parametrize(("merchant_id", "endpoint_id"), OTHERS)
def test_a_secret_that_is_copied_to_another_endpoint_does_not_open(merchant_id: str, endpoint_id: str) -> None:
    sealed = seal_secret(KEYRING, b"secret", merchant_id="m1", endpoint_id="whe_1")
    assert open_secret(KEYRING, sealed, endpoint()) == b"secret"
    with pytest.raises(ValueError, match=r".+"):
        open_secret(KEYRING, sealed, endpoint(merchant_id, endpoint_id))


def test_a_secret_is_shown_as_standard_webhooks_writes_it() -> None:
    assert shorten_secret(b"\0\1\2") == "whsec_AAEC"


async def test_a_made_secret_has_32_bytes_and_is_sealed_for_its_endpoint(outgoing: Outgoing) -> None:
    shown, sealed = outbox(outgoing).make_secret(merchant_id="m1", endpoint_id="whe_1")
    bare = b64decode(shown.removeprefix("whsec_"), validate=True)
    assert len(bare) == 32
    assert open_secret(KEYRING, sealed, endpoint()) == bare
    with pytest.raises(EncryptionKeyMissing):
        outbox(outgoing, Keyring(list, draw=secrets.token_bytes)).make_secret(merchant_id="m1", endpoint_id="whe_1")


async def test_a_url_is_judged_as_the_settings_say(outgoing: Outgoing) -> None:
    with pytest.raises(UrlRefused):
        await outbox(outgoing).check_url("https://127.0.0.1/")
    await outbox(outgoing).check_url("https://8.8.8.8/")
    await outbox(outgoing, allow_private=True).check_url("http://127.0.0.1/")


def test_keys_that_are_said_are_taken_before_the_file_and_without_either_there_are_none(tmp_path: Path) -> None:
    file, key = tmp_path / "database.key", bytes(range(KEY_BYTES))
    said = write_key(key)
    assert key_finder(said, file, make=None)() == [key]
    assert key_finder("", file, make=None)() == []
    assert key_finder("", None, make=None)() == []
    assert not file.exists()
    assert key_finder("", None, make=bytes)() == [bytes(KEY_BYTES)]
    made = key_finder("", file, make=secrets.token_bytes)()
    assert key_finder("", file, make=None)() == made
    assert [len(one) for one in made] == [KEY_BYTES]
