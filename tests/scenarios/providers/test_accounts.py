"""A merchant's accounts with each provider: credentials that end, disabled accounts, and their webhooks."""

import json
import os
import re
from typing import Final

import pytest
from click.testing import CliRunner, Result

from paidonce.cli import main
from paidonce.providers.registry import CONNECTORS
from tests.scenarios.providers.address import Silence, always
from tests.scenarios.providers.kits import SentWebhook
from tests.scenarios.providers.shop import AMOUNT, CALLS_AT_ONCE, Account, Shop, page_in, required, wait_for

pytestmark = pytest.mark.postgresql_in_prove

NO_WEBHOOKS: Final = "no webhook proves anything by itself"


def test_credentials_that_the_provider_does_not_know_decline_the_payment_and_the_next_account_works(
    shop: Shop,
) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        wrong = shop.add_account(known=False)
        assert shop.change_account("check", wrong)["problems"]
        assert shop.change_account("check") == {"problems": []}
        refused = shop.pay(checkout_id, account=wrong.id)
        assert (refused["status"], refused["attempt"]["declineCode"]) == ("FAILED", "provider_refused")
        shop.come_back(shop.approve(shop.page_of(checkout_id, account=shop.account.id)))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_credentials_that_are_revoked_while_a_buyer_pays_lose_no_payment(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        if shop.kit.needs_webhooks:
            shop.relay.is_holding = True
        shop.revoke(shop.account)
        return_url = shop.approve(page)
        calls = len(shop.address.calls)
        assert shop.come_back(return_url).status_code == 200
        wait_for(lambda: len(shop.address.calls) >= calls + 2, lambda: f"{shop.address.calls}")
        assert shop.checkout(checkout_id)["status"] == "PROCESSING"
        shop.admit(shop.account)
        if shop.kit.needs_webhooks:
            shop.release_webhooks()
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_disabled_account_takes_no_new_payments_and_ends_those_that_are_open(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        paid, abandoned, refundable = shop.create(), shop.create(), shop.paid()
        held = shop.paid(captureMethod="manual") if shop.kit.manual_capture else None
        page, abandoned_page = shop.page_of(paid), shop.page_of(abandoned)
        shop.change_account("disable")
        problem = shop.call("POST", f"/checkouts/{shop.create()}/pay", {"account": shop.account.id}, expected=409)
        assert problem["code"] == "provider_account_disabled"
        shop.come_back(shop.approve(page))
        shop.until(paid, "COMPLETED")
        shop.cancel(abandoned)
        assert shop.kit.is_closed(shop.browser, abandoned_page)
        assert shop.refund(refundable, 400)["status"] == "SUCCEEDED"
        assert shop.money(refundable).refunded == [400]
        if held:
            shop.capture(held)
            assert shop.money(held).charged == [AMOUNT]


def test_the_webhooks_of_a_disabled_account_are_accepted_and_end_its_payments(shop: Shop) -> None:
    required(shop.kit.webhook_proves, NO_WEBHOOKS)
    with shop.provider():
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.change_account("disable")
        shop.address.begin_trouble(always(500, b""))  # No look-up tells anything.
        shop.approve(page)
        shop.until(checkout_id, "COMPLETED")
        assert shop.causes(checkout_id)[-1] == ("checkout.completed", "webhook")


def test_a_webhook_that_comes_late_or_again_changes_nothing_that_is_known(shop: Shop) -> None:
    with shop.provider():
        relay = shop.relay
        relay.is_holding = not shop.kit.needs_webhooks  # Then they are known already when they come again.
        checkout_id = shop.create(captureMethod="manual" if shop.kit.manual_capture else "automatic")
        shop.come_back(shop.approve(shop.page_of(checkout_id)))
        shop.until(checkout_id, "COMPLETED", "AUTHORIZED")
        if shop.kit.manual_capture:
            shop.capture(checkout_id)
        shop.refund(checkout_id, 400)
        wait_for(lambda: bool(relay.received), lambda: "no webhook")
        before = shop.causes(checkout_id)
        late = [*reversed(relay.received), *relay.received]
        statuses = shop.address.send(relay.url, late)
        assert {status // 100 for status in statuses} == {2}
        shop.paid()  # Whatever the webhooks change would be there by now.
        assert shop.causes(checkout_id) == before
        money = shop.money(checkout_id)
        assert (money.charged, money.held, money.refunded) == ([AMOUNT], 0, [400])


def test_a_webhook_completes_a_payment_while_the_provider_answers_no_look_up(shop: Shop) -> None:
    required(shop.kit.webhook_proves, NO_WEBHOOKS)
    with shop.provider():
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.address.begin_trouble(always(500, b""))
        shop.approve(page)
        shop.until(checkout_id, "COMPLETED")
        assert shop.causes(checkout_id)[-1] == ("checkout.completed", "webhook")


def test_a_webhook_that_is_forged_or_of_another_account_changes_nothing(shop: Shop) -> None:
    with shop.provider():
        relay = shop.relay
        relay.is_holding = True
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.address.begin_trouble(always(500, b""))
        shop.approve(page)
        wait_for(lambda: bool(relay.received), lambda: "no webhook")
        genuine = relay.received[-1]
        forgeries = required(list(shop.kit.forgeries(genuine)), "webhooks are not signed: the provider is asked")
        before = shop.checkout(checkout_id)
        assert set(shop.address.send(relay.url, forgeries)) == {401}
        other = shop.add_account()
        assert shop.address.send(shop.webhook_url(other.id), [genuine]) == [401]
        assert shop.checkout(checkout_id)["status"] == before["status"]
        gone = f"{shop.account.id[:-1]}{'0' if shop.account.id[-1] != '0' else '1'}"
        without_account = f"{shop.service.url}/providers/{shop.kit.name}/webhooks"
        for url in (shop.webhook_url(gone), without_account):
            assert shop.address.send(url, [genuine]) == [404]
        nonsense = SentWebhook({}, b"\x00\xff")
        assert shop.address.send(relay.url, [nonsense])[0] in (400, 401)


def test_the_trouble_of_one_account_delays_no_other(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        silence = Silence()
        shop.address.begin_trouble(silence, lambda headers: shop.kit.is_from(headers, shop.account.credentials))
        stuck = [shop.create() for _ in range(CALLS_AT_ONCE + 1)]
        for checkout_id in stuck:
            shop.start_paying(checkout_id)
        other = shop.add_account()
        paid = shop.create()
        shop.come_back(shop.approve(shop.page_of(paid, account=other.id)))
        shop.until(paid, "COMPLETED")
        assert shop.money(paid).charged == [AMOUNT]
        assert [shop.checkout(one)["status"] for one in stuck] == ["PROCESSING"] * len(stuck)
        assert 0 < silence.at_once_max < CALLS_AT_ONCE
        shop.address.end_trouble()
        for checkout_id in stuck:
            page_in(shop.until(checkout_id, "REQUIRES_ACTION"))


def test_a_currency_that_the_provider_does_not_take_is_refused_before_anything_is_sent(shop: Shop) -> None:
    currency = required(shop.kit.currency_not_taken, "the provider itself says which currencies an account takes")
    before = len(shop.address.calls)
    with shop.provider():
        checkout_id = shop.create(currency=currency)
        refused = shop.call("POST", f"/checkouts/{checkout_id}/pay", {}, expected=422)
        assert refused["code"] == "currency_not_supported"
        # Other calls may be about payments of other merchants.
        assert not any(re.fullmatch(shop.kit.calls["open"], call) for call in shop.address.calls[before:])


class Shell:
    """Runs commands beside the service, as its operator does."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(shop.service.folder)  # Where the service has its key file.
        for name in [name for name in os.environ if name.startswith("PAIDONCE_")]:
            monkeypatch.delenv(name)
        fields = CONNECTORS[shop.kit.name].credential_fields
        self._secrets = {field.name for field in fields if field.is_secret}
        # A busy machine takes longer for a call than the second that the service has.
        self._environment = {
            **shop.host.settings,
            "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "30",
            "PAIDONCE_LEASE_SECONDS": "60",
        }

    def __call__(self, *arguments: str, **credentials: str) -> Result:
        result = CliRunner().invoke(main, arguments, input=json.dumps(credentials), env=self._environment)
        assert not any(value in result.output for name, value in credentials.items() if name in self._secrets)
        return result


def test_an_account_is_added_checked_and_rotated_by_commands_and_then_paid_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(shop, monkeypatch)
    credentials = shop.kit.credentials("added0000")
    with shop.provider():
        added = shell("providers", "add", shop.kit.name, "--merchant", shop.merchant_id, **credentials)
        assert added.exit_code == 0, added.output
        account = Account(added.stdout.strip(), credentials)
        refused = shell("providers", "check", account.id)
        assert (refused.exit_code, "not accept" in refused.stdout) == (1, True), refused.output
        shop.admit(account)
        assert shell("providers", "rotate", account.id, **credentials).exit_code == 0
        checked = shell("providers", "check", account.id)
        assert (checked.exit_code, checked.stdout) == (0, f"The provider accepts the credentials of {account.id}.\n")
        checkout_id = shop.create()
        shop.come_back(shop.approve(shop.page_of(checkout_id, account=account.id)))
        shop.until(checkout_id, "COMPLETED")
    unreached = shell("providers", "check", account.id)
    assert (unreached.exit_code, "could not be reached" in unreached.stdout) == (1, True), unreached.output
