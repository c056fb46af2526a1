"""The pages of API keys, of merchants and of operators."""

import re

from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import OPERATOR, Mode
from paidonce.users.model import Role
from tests.support.dashboard_client import base, logged_in
from tests.support.in_process_service import InProcessService


async def test_an_admin_creates_a_key_that_works_and_sees_its_secret_once(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/keys"
    first, again = [await admin.post(path, {"scopes": ["events:read"]}, key="once") for _ in range(2)]
    secrets = [re.findall(r"sk_test_\w+", page.text) for page in (first, again)]
    assert (len(secrets[0]), secrets[0]) == (1, secrets[1])
    assert (await inside.get("/events", as_who=secrets[0][0])).status_code == 200
    assert (await inside.get("/checkouts", as_who=secrets[0][0])).status_code == 403
    assert secrets[0][0] not in (await admin.get(path)).text


async def test_a_key_of_a_page_belongs_to_the_merchant_and_the_mode_of_its_path(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    made = await admin.post(f"{base(inside, 'live')}/keys")
    [secret] = re.findall(r"sk_live_\w+", made.text)
    created = await inside.made("/checkouts", {"amount": 1, "currency": "USD", "idempotencyKey": "1"}, as_who=secret)
    assert (created["merchantId"], created["mode"]) == (inside.merchant_id, "live")
    assert secret[:12] not in (await admin.get(f"{base(inside)}/keys")).text


async def test_an_admin_rotates_and_revokes_keys_of_the_merchant_only(inside: InProcessService) -> None:
    other = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, other)
    admin = await logged_in(inside, Role.ADMIN)
    mine, theirs, live, operators = [
        await inside.issued(merchant_id, mode=mode)
        for merchant_id, mode in (
            (inside.merchant_id, Mode.TEST),
            (other, Mode.TEST),
            (inside.merchant_id, Mode.LIVE),
            (OPERATOR, Mode.TEST),
        )
    ]
    for issued in (theirs, live, operators):
        for what, fields in (("rotate", {"overlapSeconds": "0"}), ("revoke", {})):
            assert (await admin.post(f"{base(inside)}/keys/{issued.key.id}/{what}", fields)).status_code == 404
        assert (await inside.get("/checkouts", as_who=issued.secret)).status_code == 200
    rotated = await admin.post(f"{base(inside)}/keys/{mine.key.id}/rotate", {"overlapSeconds": "3600"})
    [secret] = re.findall(r"sk_test_\w+", rotated.text)
    assert (await inside.get("/checkouts", as_who=secret)).status_code == 200
    assert (await admin.post(f"{base(inside)}/keys/{mine.key.id}/revoke")).status_code == 303
    assert (await inside.get("/checkouts", as_who=mine.secret)).status_code == 401


async def test_an_operator_revokes_an_operators_key_and_cannot_make_one_in_a_browser(inside: InProcessService) -> None:
    issued = await inside.issued(OPERATOR)
    operator = await logged_in(inside, Role.OPERATOR)
    page = await operator.get("/dashboard/operator/keys")
    assert issued.key.id in page.text
    assert 'action="/dashboard/operator/keys"' not in page.text
    assert (await operator.post(f"/dashboard/operator/keys/{issued.key.id}/revoke")).status_code == 303
    assert (await inside.get("/merchants", as_who=issued.secret)).status_code == 401
