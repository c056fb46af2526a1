"""What a merchant may enter, what does not fit, and what a check says."""

import json
import re

import pytest

from paidonce.providers.adyen import CONNECTOR
from paidonce.proving.processes import free_port
from tests.support.adyen import CREDENTIALS, connected
from tests.support.raw_server import Part, answer, raw_server

LIVE = CREDENTIALS | {"livePrefix": "1797a841fbb37ca7-Shop"}


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("apiKey", "AQEyhmfxK4zJbBZDw0m/n3Q5qf3VaY9UCJ14XWZE-x1i<hmD.8{^~c", True),
        ("apiKey", "short", False),
        ("apiKey", "AQEyhmfxK4zJbBZDw0m n3Q5qf3VaY9UCJ14XWZE", False),
        ("apiKey", "AQEyhmfxK4zJbBZDw0mn3Q5qf3VaY9UCJ14XWZE\n", False),
        ("merchantAccount", "ShopECOM", True),
        ("merchantAccount", "Shop ECOM", False),
        ("hmacKey", "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056", True),
        ("hmacKey", "44782def547aaa06c910c43932b1eb0c71fc68d9d0c057550c48ec2acf6ba056", True),
        ("hmacKey", "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA05", False),
        ("livePrefix", "1797a841fbb37ca7-AdyenDemo", True),
        ("livePrefix", "evil.example/x", False),
    ],
)
def test_a_credential_matches_its_pattern(name: str, value: str, *, valid: bool) -> None:
    (field,) = [one for one in CONNECTOR.credential_fields if one.name == name]
    assert bool(re.fullmatch(field.pattern, value)) is valid


def test_secrets_are_not_shown_and_names_are() -> None:
    shown = {field.name for field in CONNECTOR.credential_fields if not field.is_secret}
    assert shown == {"merchantAccount", "livePrefix"}


def test_the_hmac_key_is_required_because_outcomes_come_by_webhook_only() -> None:
    optional = {field.name for field in CONNECTOR.credential_fields if not field.is_required}
    assert optional == {"livePrefix"}


def test_a_live_account_needs_the_prefix_and_a_test_account_has_none() -> None:
    assert CONNECTOR.refusal(CREDENTIALS, "live").keys() == CONNECTOR.refusal(LIVE, "test").keys() == {"livePrefix"}
    assert CONNECTOR.refusal(LIVE, "live") == CONNECTOR.refusal(CREDENTIALS, "test") == {}


def error(status: int, code: str, kind: str) -> bytes:
    body = {"status": status, "errorCode": code, "message": "Something is wrong.", "errorType": kind}
    return answer(json.dumps(body).encode(), f"{status} Status")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (answer(b'{"paymentMethods":[{"name":"Cards","type":"scheme"}]}'), None),
        (answer(b"{}"), None),
        (error(401, "000", "security"), "does not accept the API key"),
        (answer(b"", "401 Unauthorized"), "does not accept the API key"),
        (error(403, "901", "security"), "may not use this merchant account"),
        (error(422, "702", "validation"), "refused the merchant account: error 702"),
        (error(500, "000", "internal"), "Check again later"),
        (answer(b"<html>", "403 Forbidden"), "Something other than Adyen"),
        (answer(b"<html>"), "Something other than Adyen"),
    ],
)
async def test_a_check_says_what_is_wrong_in_one_sentence(raw: bytes, words: str | None) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url) as adyen:
        found = await adyen.check()
    if words is None:
        assert found == []
    else:
        (sentence,) = found
        assert words in sentence
    (request,) = server.requests
    assert request.startswith(b"POST /v72/paymentMethods HTTP/1.1\r\n")
    assert json.loads(request.partition(b"\r\n\r\n")[2]) == {"merchantAccount": "ShopECOM"}


async def test_a_check_says_that_adyen_cannot_be_reached_and_that_credentials_do_not_fit() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as adyen:
        (sentence,) = await adyen.check()
    assert "could not be reached" in sentence
    async with connected("http://127.0.0.1:9", mode="live") as adyen:
        assert await adyen.check() == ["A live account needs the prefix of its live URLs."]
