"""What errors, broken connections and strange answers prove: nothing, unless Adyen says that nothing was done."""

import json
from typing import Final

import pytest

from paidonce.providers.base import HOSTED_PAGE, Provider
from paidonce.providers.evidence import Evidence, NotDone, NotFound, Unknown
from paidonce.proving.processes import free_port
from tests.support.adyen import connected
from tests.support.doubles import charge_request, modification
from tests.support.raw_server import Part, answer, raw_server

CHARGE: Final = charge_request("att_1", "spm_M5N7TQ4TG5PFWR50_shopper-1", return_url=None)
LINK: Final = charge_request("att_2", HOSTED_PAGE, session_reference="PL1")
VOID: Final = modification("void", "att_3", "PSP1")
REFUND: Final = modification("refund", "att_4", "PSP1")
TRANSIENT: Final = "transient-error: true"


def error(status: int, code: str, kind: str = "validation", *headers: str) -> bytes:
    body = {"status": status, "errorCode": code, "message": "Something is wrong.", "errorType": kind}
    return answer(json.dumps(body).encode(), f"{status} Status", *headers)


async def calls(adyen: Provider) -> list[Evidence]:
    """Make every call that has an effect."""
    return [
        await adyen.open(charge_request("att_2", HOSTED_PAGE)),
        await adyen.charge(CHARGE),
        await adyen.capture(modification("capture", "att_5", "PSP1")),
        await adyen.void(VOID),
        await adyen.refund(REFUND),
    ]


async def told(raw: bytes) -> list[Evidence]:
    async with raw_server(Part(raw)) as server, connected(server.url) as adyen:
        return await calls(adyen)


@pytest.mark.parametrize(
    ("raw", "code", "retryable"),
    [
        (error(400, "702"), "provider_refused", False),
        (error(401, "000", "security"), "provider_refused", False),
        (error(403, "901", "security"), "provider_refused", False),
        (error(404, "000"), "provider_refused", False),
        (error(422, "137"), "amount_not_supported", False),
        (error(422, "138"), "currency_not_supported", False),
        (error(422, "803"), "incorrect_details", False),
        (error(422, "167"), "provider_refused", False),
        (error(500, "905", "configuration"), "provider_refused", False),
        (error(500, "905_1", "configuration"), "provider_refused", False),
        (error(429, "1000"), "provider_refused", True),
        (error(503, "000", "internal", TRANSIENT), "provider_refused", True),
        (error(422, "000", "internal", "Transient-Error: TRUE"), "provider_refused", True),
    ],
)
async def test_a_request_that_adyen_refused_was_not_done(raw: bytes, code: str, *, retryable: bool) -> None:
    for evidence in await told(raw):
        assert isinstance(evidence, NotDone)
        assert (evidence.code, evidence.retryable) == (code, retryable)
        assert "Something is wrong." in evidence.reason


@pytest.mark.parametrize(
    "raw",
    [
        error(422, "704"),
        error(500, "704", "internal", TRANSIENT),
        error(500, "000", "internal"),
        error(503, "000", "internal"),
        error(503, "000", "internal", "transient-error: false"),
        error(500, "9050", "internal"),
        error(409, "000"),
        answer(b"<html>", "502 Bad Gateway"),
        answer(b"<html>", "422 Unprocessable"),
        answer(b'{"message":"no code"}', "422 Unprocessable"),
        answer(b"", "302 Found", "location: http://127.0.0.1/elsewhere"),
        answer(b"<html>"),
        answer(b"{}"),
        answer(b"[" * 100_000),
        answer(b'{"resultCode":"Success","id":"PL1","status":"new","reference":"att_2.link-charge"}'),
    ],
)
async def test_everything_else_proves_nothing(raw: bytes) -> None:
    assert [one for one in await told(raw) if not isinstance(one, Unknown)] == []


async def test_a_request_that_was_not_sent_had_no_effect_and_one_that_was_proves_nothing() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as adyen:
        for evidence in [*await calls(adyen), await adyen.close(LINK)]:
            assert isinstance(evidence, NotDone)
            assert evidence.retryable
        assert isinstance(await adyen.look_up(LINK), Unknown)
    async with raw_server(Part(b"HTTP/1.1 200", closing=True)) as server, connected(server.url) as adyen:
        lost = [*await calls(adyen), await adyen.close(LINK), await adyen.look_up(LINK)]
    assert [one for one in lost if not isinstance(one, Unknown)] == []


async def test_a_request_is_sent_once_and_not_repeated() -> None:
    async with raw_server(Part(error(503, "000", "internal", TRANSIENT))) as server, connected(server.url) as adyen:
        await adyen.charge(CHARGE)
    assert len(server.requests) == 1


async def test_a_look_up_that_is_refused_proves_nothing_about_the_link() -> None:
    for raw in (error(401, "000"), error(403, "901"), error(422, "702"), error(429, "1000"), error(500, "905")):
        async with raw_server(Part(raw)) as server, connected(server.url) as adyen:
            assert isinstance(await adyen.look_up(LINK), Unknown)
    async with raw_server(Part(error(404, "000"))) as server, connected(server.url) as adyen:
        assert await adyen.look_up(LINK) == NotFound()


async def test_nothing_but_a_link_can_be_looked_up_and_nothing_is_sent() -> None:
    async with raw_server(Part(answer(b"{}"))) as server, connected(server.url) as adyen:
        found = [await adyen.look_up(one) for one in (CHARGE, VOID, REFUND)]
    assert [type(one) for one in found] == [Unknown] * 3
    assert server.requests == []
    support = adyen.capabilities
    kinds = (support.charge, support.capture, support.void, support.refund)
    assert [(one.can_be_looked_up, one.key_lifetime_seconds) for one in kinds] == [(False, 604_800)] * 4
