"""PayPal's own SDK as a judge: of what the connector sends and reads, and of the double."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest
from anyio.to_thread import run_sync
from paypalserversdk.configuration import Environment, Server
from paypalserversdk.exceptions.error_exception import ErrorException
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.models.authorization_status import AuthorizationStatus
from paypalserversdk.models.authorization_with_additional_data import AuthorizationWithAdditionalData
from paypalserversdk.models.capture_request import CaptureRequest
from paypalserversdk.models.capture_status import CaptureStatus
from paypalserversdk.models.captured_payment import CapturedPayment
from paypalserversdk.models.checkout_payment_intent import CheckoutPaymentIntent
from paypalserversdk.models.link_description import LinkDescription
from paypalserversdk.models.money import Money as PayPalMoney
from paypalserversdk.models.order import Order as PayPalOrder
from paypalserversdk.models.order_request import OrderRequest
from paypalserversdk.models.order_status import OrderStatus
from paypalserversdk.models.patch import Patch
from paypalserversdk.models.patch_op import PatchOp
from paypalserversdk.models.payment_collection import PaymentCollection
from paypalserversdk.models.paypal_experience_user_action import PaypalExperienceUserAction
from paypalserversdk.models.paypal_wallet_context_shipping_preference import PaypalWalletContextShippingPreference
from paypalserversdk.models.purchase_unit import PurchaseUnit as PayPalPurchaseUnit
from paypalserversdk.models.refund import Refund
from paypalserversdk.models.refund_request import RefundRequest
from paypalserversdk.models.refund_status import RefundStatus
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

from paidonce.money import Money
from paidonce.providers.evidence import NotDone
from paidonce.providers.paypal import requests, responses, wire
from paidonce.providers.paypal.amounts import to_paypal
from paidonce.providers.paypal.decline_codes import CLOSED
from paidonce.proving.doubles.paypal.server import CLIENT_ID, CLIENT_SECRET, PayPalDouble
from tests.support.doubles import charge_request, modification, visit

AMOUNT: Final[Any] = to_paypal(Money(1000, "USD"))
RETURN_URL: Final = "https://shop.example/return"


def values(of: type) -> set[object]:
    """Return the values of an enumeration of the SDK's, which is a class of constants."""
    return {value for name, value in vars(of).items() if name.isupper()}


def unknown_fields(value: Mapping[str, Any], model: Any, name: str = "") -> list[str]:  # noqa: ANN401 - a model
    """Name the fields of a body that the SDK's model does not have."""
    made: Any = model.from_dictionary(dict(value)) if hasattr(model, "from_dictionary") else model
    attributes = {written: attribute for attribute, written in made._names.items()}  # noqa: SLF001 - the model's fields
    found = [f"{name}.{field}" for field in value if field not in attributes]
    for field in value.keys() & attributes.keys():
        inner, read = value[field], getattr(made, attributes[field])
        pairs = zip(inner, read, strict=True) if isinstance(inner, list) else [(inner, read)]
        found += [
            fault
            for one, as_read in pairs
            if isinstance(one, dict)
            for fault in unknown_fields(one, as_read, f"{name}.{field}")
        ]
    return found


def sent(call: requests.Call) -> Any:  # noqa: ANN401 - JSON
    return msgspec.to_builtins(call.body)


@pytest.mark.parametrize("capture", [True, False])
def test_an_order_has_no_field_and_no_value_that_paypal_does_not_know(*, capture: bool) -> None:
    body = sent(requests.open_order(charge_request("att_1", capture=capture), AMOUNT))
    assert unknown_fields(body, OrderRequest) == []
    assert body["intent"] in values(CheckoutPaymentIntent)
    experience = body["payment_source"]["paypal"]["experience_context"]
    assert experience["user_action"] in values(PaypalExperienceUserAction)
    assert experience["shipping_preference"] in values(PaypalWalletContextShippingPreference)


def test_the_change_that_closes_an_order_is_a_patch() -> None:
    for body in sent(requests.close(charge_request("att_1"), "O1", CLOSED)):
        assert unknown_fields(body, Patch) == []
        assert body["op"] in values(PatchOp)


def test_a_capture_and_a_refund_have_no_field_that_paypal_does_not_know() -> None:
    assert unknown_fields(sent(requests.capture(modification("capture", "att_1", "A1"), AMOUNT)), CaptureRequest) == []
    refund = requests.refund(modification("refund", "att_1", "C1"), AMOUNT, "C1")
    assert unknown_fields(sent(refund), RefundRequest) == []


@pytest.mark.parametrize(
    ("ours", "models"),
    [
        (wire.Order, [PayPalOrder]),
        (wire.PurchaseUnit, [PayPalPurchaseUnit]),
        (wire.Payments, [PaymentCollection]),
        (wire.Link, [LinkDescription]),
        (wire.Amount, [PayPalMoney]),
        (wire.Payment, [CapturedPayment, AuthorizationWithAdditionalData, Refund]),
    ],
)
def test_every_field_that_is_read_exists_at_paypal(ours: type, models: list[Any]) -> None:
    known = {written for model in models for written in model._names.values()}  # noqa: SLF001 - the model's fields
    assert {field.encode_name for field in msgspec.structs.fields(ours)} <= known


def test_every_status_of_paypals_is_known() -> None:
    ours = responses.MOVED | responses.HELD | responses.FAILED | {responses.PENDING}
    assert values(CaptureStatus) | values(AuthorizationStatus) | values(RefundStatus) == ours
    known = {"CREATED", "PAYER_ACTION_REQUIRED", "APPROVED", "VOIDED", "COMPLETED"}
    assert values(OrderStatus) - known == {"SAVED"}, "a feature that no order of ours uses"


@pytest.fixture
def sdk(double: PayPalDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[PaypalServersdkClient]:
    """PayPal's SDK, before the double."""
    credentials = ClientCredentialsAuthCredentials(o_auth_client_id=CLIENT_ID, o_auth_client_secret=CLIENT_SECRET)
    client = PaypalServersdkClient(client_credentials_auth_credentials=credentials, environment=Environment.SANDBOX)
    hosts = {Environment.SANDBOX: {Server.DEFAULT: double.books.url}}
    monkeypatch.setattr(type(client.config), "environments", hosts)
    yield client
    client.config.http_client.session.close()


def order_of_sdk(key: str, intent: str) -> dict[str, Any]:
    experience = {"return_url": RETURN_URL, "cancel_url": RETURN_URL}
    return {
        "body": {
            "intent": intent,
            "purchase_units": [{"amount": {"currency_code": "USD", "value": "10.00"}, "custom_id": key}],
            "payment_source": {"paypal": {"experience_context": experience}},
        },
        "paypal_request_id": f"{key}-open",
        "prefer": "return=representation",
    }


async def asked(call: Any, **options: Any) -> Any:  # noqa: ANN401 - of the SDK
    """Call the SDK, which blocks, and return the body that it has read."""
    return (await run_sync(call, options)).body


async def approved(sdk: PaypalServersdkClient, key: str, intent: str) -> Any:  # noqa: ANN401 - an order
    order = await asked(sdk.orders.create_order, **order_of_sdk(key, intent))
    assert (order.status, order.intent) == ("PAYER_ACTION_REQUIRED", intent)
    (link,) = [one for one in order.links if one.rel == "payer-action"]
    await visit(link.href, act="approve")
    assert (await asked(sdk.orders.get_order, id=order.id)).status == "APPROVED"
    return order


async def test_the_sdk_charges_and_refunds_at_the_double(sdk: PaypalServersdkClient, double: PayPalDouble) -> None:
    order = await approved(sdk, "sdk_charge", "CAPTURE")
    charge = {"id": order.id, "paypal_request_id": "sdk-1", "prefer": "return=representation"}
    captured = await asked(sdk.orders.capture_order, **charge)
    (capture,) = captured.purchase_units[0].payments.captures
    assert (captured.status, capture.status, capture.amount.value) == ("COMPLETED", "COMPLETED", "10.00")
    assert capture.custom_id == "sdk_charge"
    assert (await asked(sdk.orders.capture_order, **charge)).id == order.id
    body = {"amount": {"currency_code": "USD", "value": "3.00"}, "custom_id": "refund-sdk_refund"}
    refund = await asked(sdk.payments.refund_captured_payment, capture_id=capture.id, paypal_request_id="2", body=body)
    assert (refund.status, refund.amount.value, refund.custom_id) == ("COMPLETED", "3.00", "refund-sdk_refund")
    assert (await asked(sdk.payments.get_refund, refund_id=refund.id)).status == "COMPLETED"
    assert (await asked(sdk.payments.get_captured_payment, capture_id=capture.id)).status == "PARTIALLY_REFUNDED"
    moved = [(one.kind, one.amount) for one in double.books.ledger if one.payment_id == capture.id]
    assert moved == [("charge", 1000), ("refund", 300)]


async def test_the_sdk_authorizes_captures_and_voids_at_the_double(sdk: PaypalServersdkClient) -> None:
    held = []
    for number in range(2):
        order = await approved(sdk, f"sdk_hold_{number}", "AUTHORIZE")
        done = await asked(sdk.orders.authorize_order, id=order.id, paypal_request_id=f"sdk-hold-{number}")
        held += done.purchase_units[0].payments.authorizations
    assert [one.status for one in held] == ["CREATED"] * 2
    body = {"amount": {"currency_code": "USD", "value": "7.00"}, "final_capture": True, "invoice_id": "sdk_capture"}
    captured = await asked(sdk.payments.capture_authorized_payment, authorization_id=held[0].id, body=body)
    assert (captured.status, captured.amount.value, captured.invoice_id) == ("COMPLETED", "7.00", "sdk_capture")
    await asked(sdk.payments.void_payment, authorization_id=held[1].id, paypal_request_id="sdk-void")
    found = [await asked(sdk.payments.get_authorized_payment, authorization_id=one.id) for one in held]
    assert [one.status for one in found] == ["CAPTURED", "VOIDED"]
    assert found[0].expiration_time


async def test_the_sdk_changes_the_intent_of_an_order_and_reads_the_refusal_of_a_late_charge(
    sdk: PaypalServersdkClient,
) -> None:
    order = await approved(sdk, "sdk_closed", "CAPTURE")
    await asked(sdk.orders.patch_order, id=order.id, body=[{"op": "replace", "path": "/intent", "value": "AUTHORIZE"}])
    assert (await asked(sdk.orders.get_order, id=order.id)).intent == "AUTHORIZE"
    with pytest.raises(ErrorException) as refused:
        await asked(sdk.orders.capture_order, id=order.id, paypal_request_id="sdk-late")
    assert refused.value.name == "UNPROCESSABLE_ENTITY"
    assert refused.value.details[0].issue == "ACTION_DOES_NOT_MATCH_INTENT"


def test_an_amount_of_ours_is_money_of_paypals() -> None:
    assert not isinstance(AMOUNT, NotDone)
    assert unknown_fields(msgspec.to_builtins(AMOUNT), PayPalMoney) == []
