"""A key that is revoked or rotated is dead when that is answered, whatever was read of it meanwhile."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.support.in_process_service import InProcessService, open_in_process_service

ENDS = [("revoke", {}), ("rotate", {"overlapSeconds": 0})]


async def status_of(inside: InProcessService, secret: str) -> int:
    return (await inside.get("/checkouts", as_who=secret)).status_code


@pytest.mark.parametrize(("call", "body"), ENDS)
async def test_a_key_that_is_used_while_its_end_commits_is_dead_once_that_is_answered(
    migrated_database_url: str, tmp_path: Path, call: str, body: dict[str, int]
) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path)) as inside:
        issued = await inside.issued(inside.merchant_id)
        submit = inside.service.writer.submit
        before: list[int] = []

        async def use_and_submit(action: Any, request: Any) -> Any:  # noqa: ANN401 - as the batcher has it
            before.append(await status_of(inside, issued.secret))
            return await submit(action, request)

        with patch.object(inside.service.writer, "submit", use_and_submit):
            answer = await inside.post(f"/keys/{issued.key.id}/{call}", body, as_who=inside.operator_key)
        after = await status_of(inside, issued.secret)
    assert answer.is_success
    assert (before, after) == ([200], 401)


@pytest.mark.parametrize(("call", "body"), ENDS)
async def test_a_key_that_another_process_ended_is_dead_once_the_repeated_call_is_answered(
    migrated_database_url: str, tmp_path: Path, call: str, body: dict[str, int]
) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path)) as inside:
        issued = await inside.issued(inside.merchant_id)
        path = f"/keys/{issued.key.id}/{call}"
        before = await status_of(inside, issued.secret)
        with patch.object(inside.service.api_key_cache, "invalidate"):  # As where another process commits it.
            await inside.post(path, body, key="k", as_who=inside.operator_key)
        known = await status_of(inside, issued.secret)
        again = await inside.post(path, body, key="k", as_who=inside.operator_key)
        after = await status_of(inside, issued.secret)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (before, known, after) == (200, 200, 401)
