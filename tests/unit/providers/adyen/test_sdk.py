"""Adyen's own SDK judges our paths, our reading of its signatures, and the double."""

from typing import Any, Final

import Adyen
import httpx
import msgspec
import pytest
from Adyen.exceptions import AdyenAPIUnprocessableEntity, AdyenAPIValidationError
from Adyen.util import generate_notification_sig, is_valid_hmac_notification

from paidonce.providers.adyen import requests, webhooks
from paidonce.providers.adyen.client import LIVE_PATH, LIVE_URL, TEST_URL
from paidonce.providers.adyen.requests import Call, StoredMethod
from paidonce.providers.adyen.wire import API_VERSION
from paidonce.proving.doubles.adyen.server import API_KEY, MERCHANT_ACCOUNT, webhook as double_webhook
from tests.support.adyen import HMAC_KEY, adyen_double, item, signed, webhook
from tests.support.doubles import charge_request, modification

REQUEST: Final = charge_request("att_1")
METHOD: Final = StoredMethod("APPROVED", "shopper-1")
CALLS: Final = [
    (requests.open_link(REQUEST, 1000, MERCHANT_ACCOUNT), "payment_links_api", "payment_links", ()),
    (requests.retrieve_link("PL1"), "payment_links_api", "get_payment_link", ("PL1",)),
    (requests.expire_link("PL1"), "payment_links_api", "update_payment_link", ("PL1",)),
    (requests.pay(REQUEST, METHOD, 1000, MERCHANT_ACCOUNT), "payments_api", "payments", ()),
    (requests.list_payment_methods(MERCHANT_ACCOUNT), "payments_api", "payment_methods", ()),
    (
        requests.modify(modification("capture", "att_2", "PSP1"), 1000, MERCHANT_ACCOUNT),
        "modifications_api",
        "capture_authorised_payment",
        ("PSP1",),
    ),
    (
        requests.modify(modification("void", "att_2", "PSP1"), 1000, MERCHANT_ACCOUNT),
        "modifications_api",
        "cancel_authorised_payment_by_psp_reference",
        ("PSP1",),
    ),
    (
        requests.modify(modification("refund", "att_2", "PSP1"), 1000, MERCHANT_ACCOUNT),
        "modifications_api",
        "refund_captured_payment",
        ("PSP1",),
    ),
]


class Recorder:
    """Takes the place of the SDK's HTTP client, and keeps the last request."""

    user_agent = "test"

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def request(self, method: str, url: str, **options: Any) -> tuple[str, str, int, dict[str, str]]:  # noqa: ANN401 - the SDK's
        self.last = {"method": method, "url": url, **options}
        return "{}", "", 200, {}


@pytest.mark.parametrize("platform", ["test", "live"])
@pytest.mark.parametrize(("call", "service", "name", "ids"), CALLS)
def test_the_sdk_sends_the_same_call_to_the_same_host_and_path(
    call: Call, service: str, name: str, ids: tuple[str, ...], platform: str
) -> None:
    sdk = Adyen.Adyen(xapikey=API_KEY, platform=platform, live_endpoint_prefix="1797a841fbb37ca7-Shop")
    recorder = Recorder()
    sdk.client.http_client, sdk.client.http_init = recorder, True
    arguments = ids if call.method == "GET" else (call.body, *ids)
    getattr(getattr(sdk.checkout, service), name)(*arguments, idempotency_key=call.key)
    host = TEST_URL if platform == "test" else LIVE_URL.format(prefix="1797a841fbb37ca7-Shop") + LIVE_PATH
    assert (recorder.last["method"], recorder.last["url"]) == (call.method, host + call.path)
    assert recorder.last["json"] == call.body
    assert recorder.last["xapikey"] == API_KEY
    assert recorder.last["headers"].get("Idempotency-Key") == call.key


def test_the_pinned_version_is_that_of_the_sdk() -> None:
    assert Adyen.Adyen(xapikey=API_KEY).checkout.payments_api.baseUrl == f"{TEST_URL}/{API_VERSION}"


NOTIFICATIONS: Final = [
    item(),
    item("CAPTURE", "att_2.capture", originalReference="PSP0"),
    item("REFUND", "att_3.refund", originalReference="PSP0", success="false", reason="Refused"),
    item(reference="an order: 4711\\é"),
    item(reference=""),
]


@pytest.mark.parametrize("notification", NOTIFICATIONS)
def test_a_signature_of_the_sdk_is_believed_and_ours_by_the_sdk(notification: dict[str, Any]) -> None:
    signature = generate_notification_sig(notification, HMAC_KEY).decode()
    by_sdk = notification | {"additionalData": {"hmacSignature": signature}}
    (holder,) = webhooks.decode(webhook(by_sdk)).notification_items
    assert webhooks.is_signed(HMAC_KEY, holder.item)
    assert signed(notification) == by_sdk
    by_double = msgspec.json.decode(double_webhook(notification, HMAC_KEY))
    assert is_valid_hmac_notification(by_double, HMAC_KEY)
    assert not is_valid_hmac_notification(by_double, "00" * 32)


def test_the_sdk_pays_captures_refunds_and_reads_errors_at_the_double() -> None:
    with adyen_double() as double:
        sdk = Adyen.Adyen(xapikey=API_KEY, platform="test")
        checkout = sdk.checkout
        for service in (checkout.payment_links_api, checkout.payments_api, checkout.modifications_api):
            service.baseUrl = f"{double.books.url}/v72"
        account = {"merchantAccount": MERCHANT_ACCOUNT}
        amount = {"value": 1000, "currency": "EUR"}
        links = checkout.payment_links_api
        wanted = account | {"reference": "1", "amount": amount, "manualCapture": True}
        link = links.payment_links(wanted, "key-1").message
        assert links.payment_links(wanted, "key-1").message == link
        httpx.post(link["url"], data={"act": "pay", "method": "approved"})
        assert links.get_payment_link(link["id"]).message["status"] == "completed"
        with pytest.raises(AdyenAPIUnprocessableEntity):
            links.update_payment_link({"status": "expired"}, link["id"])
        notices = [msgspec.json.decode(body) for body in double.books.webhooks]
        assert all(is_valid_hmac_notification(one, HMAC_KEY) for one in notices)
        reference = notices[-1]["notificationItems"][0]["NotificationRequestItem"]["pspReference"]
        modifications = checkout.modifications_api
        capture = modifications.capture_authorised_payment(account | {"amount": amount}, reference).message
        assert (capture["status"], capture["paymentPspReference"]) == ("received", reference)
        refund = modifications.refund_captured_payment(account | {"amount": amount}, reference).message
        assert refund["status"] == "received"
        with pytest.raises(AdyenAPIValidationError):
            checkout.payments_api.payments(account | {"unknown": True})
        assert [one.kind for one in double.books.ledger] == ["authorization", "capture", "refund"]
