"""The pages of merchants and of settings, for operators."""

import re
import threading
from pathlib import Path

import pytest

from paidonce.dashboard import settings
from paidonce.users.model import Role
from tests.support.dashboard_client import logged_in, text_of
from tests.support.in_process_service import InProcessService, open_in_process_service


async def test_merchants_are_found_by_how_their_ids_begin_and_created(inside: InProcessService) -> None:
    operator = await logged_in(inside, Role.OPERATOR)
    for name in ("shop-a", "shop-b", "shoq", "Shop-c"):
        await operator.post("/dashboard/operator/merchants", {"id": name})
    page = await operator.get("/dashboard/operator/merchants", prefix="shop")
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a></th>', page.text) == ["shop-a", "shop-b"]
    by_api = (await inside.get("/merchants", as_who=inside.operator_key, prefix="shop")).json()["data"]
    assert [one["id"] for one in by_api] == ["shop-a", "shop-b"]
    refused = await operator.post("/dashboard/operator/merchants", {"id": "with space"})
    assert refused.status_code == 422


async def test_settings_are_shown_without_a_secret_with_what_the_doctor_says(
    migrated_database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(
        migrated_database_url, str(tmp_path), migrating=False, simulator_webhook_secret="whsec_" + "c2VjcmV0" * 4
    ) as inside:
        await inside.provider_webhook()
        operator = await logged_in(inside, Role.OPERATOR)
        page = await operator.get("/dashboard/operator/settings")
        shown = text_of(page)
        for secret in (inside.service.settings.encryption_keys, "c2VjcmV0"):
            assert secret not in page.text
        assert shown.count("set, and not shown") == 2
        for check in (
            "schema",
            "unknown outcomes",
            "provider webhooks",
            "accepted operations",
            "webhook endpoints",
            "authentication",
        ):
            assert check in shown
        assert "1 webhook ATTEMPT_NOT_FOUND" in shown


async def test_checks_that_take_too_long_do_not_keep_the_settings(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(settings, "CHECK_SECONDS_MAX", 0.01)
    monkeypatch.setattr(settings, "examine_surroundings", lambda _settings: let_go.wait())
    operator = await logged_in(inside, Role.OPERATOR)
    try:
        shown = text_of(await operator.get("/dashboard/operator/settings"))
    finally:
        let_go.set()
    assert "were left" in shown
