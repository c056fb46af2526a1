"""Codes of the second factor: the vectors of RFC 6238, and which steps and recovery codes are taken."""

import re
from base64 import b32decode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from paidonce.users.totp import (
    matching_step,
    new_recovery_codes,
    new_secret,
    seal_recovery_codes,
    secret_text,
    secret_uri,
    without_recovery_code,
)

SECRET = b"12345678901234567890"
STEP_MS = 30_000


@pytest.mark.parametrize(
    ("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert matching_step(SECRET, code, seconds * 1000, None) == seconds // 30
    assert matching_step(SECRET, f"{code[:3]} {code[3:]}", seconds * 1000, None) == seconds // 30
    assert matching_step(bytes(20), code, seconds * 1000, None) is None


def test_a_code_is_taken_one_step_early_or_late_and_no_further() -> None:
    now = 1_111_111_109_000
    taken = [steps for steps in range(-3, 4) if matching_step(SECRET, "081804", now + steps * STEP_MS, None)]
    assert taken == [-1, 0, 1]


def test_a_step_that_was_used_and_those_before_it_are_refused() -> None:
    step = 1111111109 // 30
    taken = [used for used in (step - 1, step, step + 1) if matching_step(SECRET, "081804", 1_111_111_109_000, used)]
    assert taken == [step - 1]


def test_an_app_reads_the_same_secret_from_the_qr_code_as_people_do_from_the_text() -> None:
    secret = new_secret()
    assert len(secret) == 20
    assert new_secret() != secret
    uri = urlsplit(secret_uri(secret, "a@example.com"))
    values = parse_qs(uri.query)
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", "/paidonce:a@example.com")
    assert b32decode(values["secret"][0]) == secret
    assert (values["issuer"], values["digits"], values["period"]) == (["paidonce"], ["6"], ["30"])
    text = secret_text(secret)
    assert re.fullmatch(r"[A-Z2-7]{4}( [A-Z2-7]{4}){7}", text)
    assert b32decode(text.replace(" ", "")) == secret


def test_each_recovery_code_is_taken_once_and_only_hashes_are_stored() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 8
    assert {len(one) for one in codes} == {12}
    stored: str | None = seal_recovery_codes(codes)
    assert not any(one in str(stored) for one in codes)
    assert without_recovery_code(stored, "0" * 12) is None
    for one in codes:
        left = without_recovery_code(stored, f" {one} ")
        assert left is not None
        assert without_recovery_code(left, one) is None
        stored = left
    assert without_recovery_code(None, codes[0]) is None
