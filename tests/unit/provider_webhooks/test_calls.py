"""The calls about providers' webhooks: who may send one, and which page of the list is shown."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from paidonce.signing import read_secret, signed_headers
from tests.support.in_process_service import NOW, InProcessService, open_in_process_service

SECRET: Final = f"whsec_{b64encode(bytes(32)).decode()}"
PING: Final = b'{"type":"ping"}'


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(
        migrated_database_url, str(tmp_path), migrating=False, simulator_webhook_secret=SECRET
    ) as opened:
        yield opened


async def test_a_webhook_is_taken_from_a_provider_that_signs_it_and_from_nobody_else(inside: InProcessService) -> None:
    headers = signed_headers(read_secret(SECRET), message_id="msg_1", now=NOW, body=PING)
    answers = [
        await inside.http.post(f"/providers/{name}/webhooks", content=PING, headers=signature)
        for name, signature in (("simulator", headers), ("simulator", {}), ("stranger", headers))
    ]
    assert [(one.status_code, one.json().get("code")) for one in answers] == [
        (200, None),
        (401, "invalid_signature"),
        (404, "provider_not_found"),
    ]
    assert answers[0].json() == {"id": "msg_1"}


async def test_a_page_of_webhooks_begins_after_one_that_is_named_with_its_provider(inside: InProcessService) -> None:
    names = [await inside.provider_webhook() for _ in range(2)]
    wanted = {"result": "ATTEMPT_NOT_FOUND", "startingAfter": names[0]}
    page = await inside.get("/provider-webhooks", as_who=inside.operator_key, afterProvider="simulator", **wanted)
    assert [one["id"] for one in page.json()["data"]] == names[1:]
    refused = await inside.get("/provider-webhooks", as_who=inside.operator_key, **wanted)
    assert refused.status_code == 400
    assert [(one["pointer"], one["code"]) for one in refused.json()["errors"]] == [("afterProvider", "missing")]
