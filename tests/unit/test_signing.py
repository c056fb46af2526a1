import secrets
from base64 import b64encode
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given, strategies as st

from paidonce.clock import system_clock
from paidonce.signing import SIGNATURE, TIMESTAMP, read_secret, sign, signed_headers, verified_id
from tests.support.provider_process import SECRET, forgeries

KEY = read_secret(SECRET)
NOW = 1_700_000_000_123


def headers(body: bytes, now: int = NOW) -> dict[str, str]:
    return signed_headers(KEY, message_id="msg_1", now=now, body=body)


@given(st.text(), st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_signature_is_the_one_that_the_specifications_library_makes(body: str, message_id: str) -> None:
    theirs = standardwebhooks.Webhook(SECRET).sign(message_id, datetime.fromtimestamp(NOW // 1000, UTC), body)
    ours = sign(KEY, message_id=message_id, timestamp_seconds=NOW // 1000, body=body.encode())
    assert ours == theirs


def test_what_we_sign_the_specifications_library_believes() -> None:
    now = system_clock()
    assert standardwebhooks.Webhook(SECRET).verify(b'{"a":1}', headers(b'{"a":1}', now)) == {"a": 1}


def test_what_the_specifications_library_signs_we_believe() -> None:
    moment = datetime.fromtimestamp(NOW // 1000, UTC)
    headers = {
        "Webhook-Id": "msg_7",
        "Webhook-Timestamp": str(NOW // 1000),
        "Webhook-Signature": standardwebhooks.Webhook(SECRET).sign("msg_7", moment, "{}"),
    }
    assert verified_id(KEY, headers, b"{}", now=NOW) == "msg_7"


@pytest.mark.parametrize("wrong", forgeries(b"{}"))
def test_what_is_not_signed_as_it_should_be_is_not_believed(wrong: str) -> None:
    assert verified_id(KEY, forgeries(b"{}")[wrong], b"{}", now=system_clock()) is None


@pytest.mark.parametrize(("skew_seconds", "believed"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_a_message_is_believed_for_five_minutes_before_and_after(skew_seconds: int, *, believed: bool) -> None:
    found = verified_id(KEY, headers(b"{}"), b"{}", now=NOW + skew_seconds * 1000)
    assert found == ("msg_1" if believed else None)


def test_one_right_signature_among_several_is_enough() -> None:
    right = headers(b"{}")
    others = f"v1a,xyz {sign(secrets.token_bytes(32), message_id='msg_1', timestamp_seconds=1, body=b'')}"
    assert verified_id(KEY, right | {SIGNATURE: f"{others} {right[SIGNATURE]}"}, b"{}", now=NOW) == "msg_1"
    assert verified_id(KEY, right | {SIGNATURE: others}, b"{}", now=NOW) is None


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "²", "9" * 5000, "0x10", " 1700000000"])
def test_a_strange_time_is_refused_and_raises_nothing(timestamp: str) -> None:
    assert verified_id(KEY, headers(b"{}") | {TIMESTAMP: timestamp}, b"{}", now=NOW) is None


@given(st.dictionaries(st.sampled_from(["webhook-id", TIMESTAMP, SIGNATURE]), st.text()), st.binary())
def test_whatever_comes_raises_nothing(headers: dict[str, str], body: bytes) -> None:
    assert verified_id(KEY, headers, body, now=NOW) is None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_not base64!",
        b64encode(bytes(32)).decode(),
        f"whsec_{b64encode(bytes(23)).decode()}",
        f"whsec_{b64encode(bytes(65)).decode()}",
    ],
)
def test_a_bad_secret_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret") as refused:
        read_secret(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(refused.value)


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_may_have_as_few_and_as_many_bytes_as_the_specification_says(size: int) -> None:
    assert read_secret(f"whsec_{b64encode(bytes(size)).decode()}") == bytes(size)


@pytest.mark.parametrize("stray", ["\n", " ", "!", "-"])
def test_a_secret_with_a_character_that_is_not_of_base64_is_refused(stray: str) -> None:
    text = b64encode(bytes(32)).decode()
    with pytest.raises(ValueError, match="must be base64"):
        read_secret(f"whsec_{text[:20]}{stray}{text[20:]}")


def test_while_a_secret_is_replaced_a_receiver_believes_a_message_with_either() -> None:
    secrets_of_receivers = [f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2)]
    keys = [read_secret(secret) for secret in secrets_of_receivers]
    now = system_clock()
    headers = signed_headers(*keys, message_id="msg_1", now=now, body=b'{"a":1}')
    for secret, key in zip(secrets_of_receivers, keys, strict=True):
        assert standardwebhooks.Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}
        assert verified_id(key, headers, b'{"a":1}', now=now) == "msg_1"


@pytest.mark.parametrize(("place", "believed"), [(8, True), (9, False)])
def test_of_many_signatures_the_first_eight_are_looked_at(place: int, *, believed: bool) -> None:
    right = headers(b"{}")
    signatures = " ".join(["v1,wrong"] * (place - 1) + [right[SIGNATURE]])
    found = verified_id(KEY, right | {SIGNATURE: signatures}, b"{}", now=NOW)
    assert found == ("msg_1" if believed else None)


def test_signatures_are_separated_by_a_space_and_by_nothing_else() -> None:
    right = headers(b"{}")
    assert verified_id(KEY, right | {SIGNATURE: f"v1,wrong\t{right[SIGNATURE]}"}, b"{}", now=NOW) is None


def test_a_signature_that_cannot_be_encoded_is_not_believed_and_raises_nothing() -> None:
    assert verified_id(KEY, headers(b"{}") | {SIGNATURE: "v1,\ud800"}, b"{}", now=NOW) is None


@pytest.mark.parametrize("message_id", ["", "msg_é"])
def test_a_message_without_an_id_in_ascii_is_not_believed_though_its_signature_is_right(message_id: str) -> None:
    headers = signed_headers(KEY, message_id=message_id, now=NOW, body=b"{}")
    assert verified_id(KEY, headers, b"{}", now=NOW) is None
