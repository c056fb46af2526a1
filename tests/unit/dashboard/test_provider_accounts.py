"""The pages of a merchant's accounts with providers."""

import re

from paidonce.users.model import Role
from tests.support.dashboard_client import base, logged_in, text_of
from tests.support.fake_connector import CREDENTIALS, OTHER_KEY
from tests.support.in_process_service import InProcessService


async def test_an_account_is_added_with_credentials_that_are_never_shown_again(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/accounts"
    form = await admin.get(path, provider="fake")
    assert re.search(r'name="credentials\.apiKey" type="password"', form.text)
    fields = {"provider": "fake", "name": "Main"} | {f"credentials.{name}": one for name, one in CREDENTIALS.items()}
    added = await admin.post(path, fields)
    assert added.status_code == 303
    pages = [await admin.get(added.headers["location"]), await admin.get(path)]
    assert [page.text.count(CREDENTIALS["apiKey"]) for page in pages] == [0, 0]
    assert "Main" in text_of(pages[1])


async def test_refused_credentials_are_not_sent_back_to_the_browser(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    fields = {"provider": "fake", "name": "Main", "credentials.apiKey": "no key at all"}
    refused = await admin.post(f"{base(inside)}/accounts", fields)
    assert (refused.status_code, 'value="Main"' in refused.text) == (422, True)
    assert "no key at all" not in refused.text
    assert re.search(r'id="add_account-credentials.apiKey-error"', refused.text)


async def test_accounts_stand_in_the_order_of_preference_and_an_account_can_be_moved(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    body = {"provider": "fake", "credentials": CREDENTIALS}
    one, two, three = [(await inside.made("/provider-accounts", body))["id"] for _ in range(3)]
    await admin.post(f"{base(inside)}/accounts/{two}/position", {"position": "9"})
    await admin.post(f"{base(inside)}/accounts/{one}/disable")
    page = (await admin.get(f"{base(inside)}/accounts")).text
    assert sorted((one, two, three), key=page.index) == [three, two, one]
    await admin.post(f"{base(inside)}/accounts/{one}/enable")
    assert (await inside.get(f"/provider-accounts/{one}")).json()["status"] == "ACTIVE"


async def test_the_credentials_of_an_account_are_checked_and_replaced(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    made = await inside.made("/provider-accounts", {"provider": "fake", "credentials": CREDENTIALS})
    path = f"{base(inside)}/accounts/{made['id']}"
    checked = await admin.post(f"{path}/check")
    assert "accepts%20the%20credentials" in checked.headers["set-cookie"]
    assert (await admin.post(f"{path}/rotate", {"credentials.apiKey": OTHER_KEY})).status_code == 303
    hints = (await inside.get(f"/provider-accounts/{made['id']}")).json()["credentialHints"]
    assert hints["apiKey"].endswith(OTHER_KEY[-4:])
