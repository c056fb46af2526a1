"""Which scope each call demands, written out by hand: the OpenAPI document is not asked."""

import re
from typing import Final

import pytest

from paidonce.http.openapi import build_document
from paidonce.http.routes import OPERATIONS
from paidonce.merchants.model import OPERATOR, Scope
from tests.support.in_process_service import InProcessService

OPEN: Final = None

SCOPES: Final = {
    "POST /checkouts": "checkouts:write",
    "GET /checkouts": "checkouts:read",
    "GET /checkouts/search": "checkouts:read",
    "GET /checkouts/{checkout_id}": "checkouts:read",
    "POST /checkouts/{checkout_id}/pay": "checkouts:write",
    "POST /checkouts/{checkout_id}/capture": "checkouts:write",
    "POST /checkouts/{checkout_id}/cancel": "checkouts:write",
    "GET /checkouts/{checkout_id}/timeline": "checkouts:read",
    "POST /checkouts/{checkout_id}/refunds": "refunds:write",
    "GET /checkouts/{checkout_id}/disputes": "checkouts:read",
    "GET /checkouts/{checkout_id}/refunds": "checkouts:read",
    "GET /refunds/{refund_id}": "checkouts:read",
    "GET /events": "events:read",
    "GET /events/stream": "events:read",
    "GET /events/{event_id}": "events:read",
    "POST /webhook-endpoints": "webhooks:write",
    "GET /webhook-endpoints": "webhooks:write",
    "GET /webhook-endpoints/{endpoint_id}": "webhooks:write",
    "PATCH /webhook-endpoints/{endpoint_id}": "webhooks:write",
    "DELETE /webhook-endpoints/{endpoint_id}": "webhooks:write",
    "POST /webhook-endpoints/{endpoint_id}/rotate-secret": "webhooks:write",
    "POST /webhook-endpoints/{endpoint_id}/test": "webhooks:write",
    "GET /webhook-endpoints/{endpoint_id}/deliveries": "webhooks:write",
    "POST /webhook-endpoints/{endpoint_id}/redeliver": "webhooks:write",
    "POST /webhook-endpoints/{endpoint_id}/redeliver-failed": "webhooks:write",
    "GET /deliveries/{delivery_id}": "webhooks:write",
    "GET /webhook-endpoints/{endpoint_id}/redeliveries": "webhooks:write",
    "POST /deliveries/{delivery_id}/redeliver": "webhooks:write",
    "GET /statistics": "checkouts:read",
    "GET /statistics/current": "checkouts:read",
    "GET /idempotency-keys/{key}": "checkouts:read",
    "POST /provider-accounts": "providers:write",
    "GET /provider-accounts": "providers:read",
    "GET /provider-accounts/{account_id}": "providers:read",
    "POST /provider-accounts/{account_id}/rotate": "providers:write",
    "POST /provider-accounts/{account_id}/position": "providers:write",
    "POST /provider-accounts/{account_id}/disable": "providers:write",
    "POST /provider-accounts/{account_id}/enable": "providers:write",
    "POST /provider-accounts/{account_id}/check": "providers:read",
    "GET /attempts": "checkouts:read",
    "GET /attempts/{attempt_id}": "checkouts:read",
    "POST /attempts/{attempt_id}/resolve": "admin",
    "GET /provider-webhooks": "admin",
    "POST /provider-webhooks/replay": "admin",
    "POST /provider-webhooks/dismiss": "admin",
    "GET /profile": "checkouts:read",
    "PATCH /profile": "profile:write",
    "GET /logos/{logo_digest}": OPEN,
    "POST /merchants": "admin",
    "GET /merchants": "admin",
    "POST /keys": "admin",
    "GET /keys": "admin",
    "POST /keys/{key_id}/revoke": "admin",
    "POST /keys/{key_id}/rotate": "admin",
    "POST /providers/{provider}/webhooks": OPEN,
    "POST /providers/{provider}/{account_id}/webhooks": OPEN,
    "GET /return/{return_token}": OPEN,
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /": OPEN,
}

# What stands in a path: each is well formed, and nothing has it.
NAMES: Final = {
    "checkout_id": f"chk_{'0' * 26}",
    "attempt_id": f"att_{'0' * 26}",
    "refund_id": f"ref_{'0' * 26}",
    "event_id": f"evt_{'0' * 26}",
    "endpoint_id": f"whe_{'0' * 26}",
    "account_id": f"pac_{'0' * 26}",
    "delivery_id": f"dlv_{'0' * 26}",
    "key_id": f"key_{'0' * 26}",
    "key": "k",
    "provider": "nobody",
    "return_token": "0" * 32,
    "logo_digest": "0" * 32,
}


async def status_and_code(on_sqlite: InProcessService, call: str, scopes: set[Scope]) -> tuple[int, str]:
    verb, path = call.split()
    path = re.sub(r"{(.+?)}", lambda found: NAMES[found[1]], path)
    # Only an operator's key may have every scope; for the others' scopes it is as good as a merchant's.
    key = await on_sqlite.api_key(OPERATOR, scopes)
    headers = {"Authorization": f"Bearer {key}"}
    answer = await on_sqlite.http.request(verb, path, headers=headers, json={} if verb in ("POST", "PATCH") else None)
    is_problem = answer.headers["content-type"].startswith("application/problem")
    return answer.status_code, answer.json()["code"] if is_problem else ""


def test_every_call_is_in_the_table_and_no_other() -> None:
    paths = build_document(OPERATIONS)["paths"]
    assert sorted(SCOPES) == sorted(f"{verb.upper()} {path}" for path, item in paths.items() for verb in item)


@pytest.mark.parametrize(("call", "scope"), [(call, Scope(scope)) for call, scope in SCOPES.items() if scope])
async def test_a_call_demands_exactly_the_scope_in_the_table(
    on_sqlite: InProcessService, call: str, scope: Scope
) -> None:
    with_it = await status_and_code(on_sqlite, call, {scope})
    without_it = await status_and_code(on_sqlite, call, set(Scope) - {scope})
    assert with_it[0] in (200, 400, 404), "whatever it lacks, it is no scope"
    assert without_it == (403, "insufficient_scope")


@pytest.mark.parametrize("call", [call for call, scope in SCOPES.items() if scope is OPEN])
async def test_a_call_that_is_open_demands_no_scope(on_sqlite: InProcessService, call: str) -> None:
    status, code = await status_and_code(on_sqlite, call, set())
    assert (status, code) == (200, "") or (status == 404 and code.endswith("_not_found"))
