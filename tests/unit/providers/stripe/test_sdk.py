"""Stripe's own SDK judges our requests, our signatures, and the double."""

import json
import time
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import pytest
import stripe
from stripe._api_version import _ApiVersion
from stripe._encode import _api_encode
from stripe._webhook import WebhookSignature
from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    RefundCreateParams,
    RefundListParams,
)
from stripe.params.checkout import SessionCreateParams, SessionExpireParams, SessionRetrieveParams

from paidonce.providers.stripe import requests, webhooks, wire
from paidonce.providers.stripe.requests import Call
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble, signature
from tests.support.doubles import NOW, charge_request, modification
from tests.support.stripe import WEBHOOK_SECRET, event
from tests.support.stripe_sdk import faults_of

TOKEN: Final = charge_request("att_1", "pm_card_visa")
CARD_ONLY: Final = charge_request("att_1", "pm_card_visa", return_url=None, capture=False)

POSTS: Final = [
    (requests.open_session(charge_request("att_1"), 1000, NOW), SessionCreateParams),
    (requests.open_session(charge_request("att_1", capture=False, description=None), 1000, NOW), SessionCreateParams),
    (requests.open_intent(TOKEN, 1000), PaymentIntentCreateParams),
    (requests.open_intent(CARD_ONLY, 1000), PaymentIntentCreateParams),
    (requests.confirm(TOKEN, "pi_1"), PaymentIntentConfirmParams),
    (requests.confirm(CARD_ONLY, "pi_1"), PaymentIntentConfirmParams),
    (requests.cancel(TOKEN, "pi_1"), PaymentIntentCancelParams),
    (requests.expire(TOKEN, "cs_1"), SessionExpireParams),
    (requests.capture(modification("capture", "att_2", "pi_1"), 1000), PaymentIntentCaptureParams),
    (requests.void(modification("void", "att_2", "pi_1")), PaymentIntentCancelParams),
    (requests.refund(modification("refund", "att_2", "pi_1"), 1000), RefundCreateParams),
]


@pytest.mark.parametrize(("call", "kind"), POSTS)
def test_the_parameters_of_each_post_are_those_of_the_sdk(call: Call, kind: Any) -> None:  # noqa: ANN401 - a type
    assert faults_of(call.params, kind) == []
    assert call.key is not None
    assert len(call.key) <= 255


@pytest.mark.parametrize("call", [call for call, _ in POSTS])
def test_parameters_are_encoded_as_the_sdk_encodes_them(call: Call) -> None:
    pairs = [(name, str(value)) for name, value in _api_encode(call.params)]
    assert parse_qsl((call.body or b"").decode(), keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (requests.retrieve_session("cs_1"), SessionRetrieveParams),
        (requests.list_refunds("pi_1", "re_1"), RefundListParams),
    ],
)
def test_the_parameters_of_each_query_are_those_of_the_sdk(call: Call, kind: Any) -> None:  # noqa: ANN401 - a type
    query = dict(parse_qsl(call.path.partition("?")[2]))
    names = {name.partition("[")[0] for name in query}
    assert names <= kind.__annotations__.keys()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"amount": 1000}, ": currency is missing"),
        ({"amount": "1000", "currency": "usd"}, ".amount: '1000' is no <class 'int'>"),
        ({"amount": 1000, "currency": "usd", "expand": [1]}, ".expand[0]: 1 is no <class 'str'>"),
        ({"amount": 1000, "currency": "usd", "colour": "red"}, ": colour is unknown"),
        ({"amount": 1000, "currency": "usd", "metadata": {"a": 1}}, ".metadata: {'a': 1} is no object of texts"),
    ],
)
def test_the_judge_sees_what_is_wrong(wrong: dict[str, object], fault: str) -> None:
    assert faults_of(wrong, PaymentIntentCreateParams) == [fault]
    (unknown_value,) = faults_of({"amount": 1, "currency": "usd", "capture_method": "later"}, PaymentIntentCreateParams)
    assert unknown_value.startswith(".capture_method: 'later' is none of")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wire.PaymentIntent, stripe.PaymentIntent),
        (wire.Session, stripe.checkout.Session),
        (wire.Refund, stripe.Refund),
        (wire.Event, stripe.Event),
        (wire.Balance, stripe.Balance),
        (wire.PaymentError, stripe.PaymentIntent.LastPaymentError),
        (wire.NextAction, stripe.PaymentIntent.NextAction),
        (wire.RedirectToUrl, stripe.PaymentIntent.NextAction.RedirectToUrl),
        (wire.ApiError, stripe.ErrorObject),
    ],
)
def test_the_fields_that_are_read_are_fields_of_the_sdk(ours: type[msgspec.Struct], theirs: Any) -> None:  # noqa: ANN401
    known = {name for one in theirs.__mro__ for name in vars(one).get("__annotations__", ())}
    assert set(ours.__struct_fields__) <= known


def test_the_pinned_version_is_the_one_that_the_sdk_speaks() -> None:
    assert _ApiVersion.CURRENT == wire.API_VERSION


def test_a_signature_of_the_sdk_is_believed_and_the_double_signs_as_the_sdk_wants_it() -> None:
    body = event("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"})
    seconds = NOW // 1000
    header = WebhookSignature.generate_signature_header(body.decode(), WEBHOOK_SECRET, seconds)
    assert webhooks.is_signed(WEBHOOK_SECRET, {"Stripe-Signature": header}, body, now=NOW)
    now = int(time.time())
    built = stripe.Webhook.construct_event(body, signature(WEBHOOK_SECRET, body, now), WEBHOOK_SECRET)
    assert built.type == "payment_intent.succeeded"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", signature(WEBHOOK_SECRET, body, now), WEBHOOK_SECRET)


def test_the_sdk_pays_captures_and_refunds_at_the_double(double: StripeDouble) -> None:
    client = stripe.StripeClient(SECRET_KEY, base_addresses={"api": double.books.url}, max_network_retries=0).v1
    fields = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "capture_method": "manual"}
    intent = client.payment_intents.create(fields, {"idempotency_key": "sdk-1"})
    assert client.payment_intents.create(fields, {"idempotency_key": "sdk-1"}).id == intent.id
    with pytest.raises(stripe.IdempotencyError):
        client.payment_intents.create({**fields, "amount": 1001}, {"idempotency_key": "sdk-1"})
    confirmed = client.payment_intents.confirm(intent.id, {"return_url": "https://shop.example/"})
    assert (confirmed.status, confirmed.amount_capturable) == ("requires_capture", 1000)
    captured = client.payment_intents.capture(intent.id, {"amount_to_capture": 400})
    assert (captured.status, captured.amount_received) == ("succeeded", 400)
    refund = client.refunds.create({"payment_intent": intent.id, "amount": 100})
    assert [one.id for one in client.refunds.list({"payment_intent": intent.id}).data] == [refund.id]


def test_the_sdk_reads_the_errors_of_the_double(double: StripeDouble) -> None:
    client = stripe.StripeClient(SECRET_KEY, base_addresses={"api": double.books.url}, max_network_retries=0).v1
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: colour"):
        client.payment_intents.create({"amount": 1000, "currency": "usd", "colour": "red"})
    intent = client.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    )
    with pytest.raises(stripe.CardError) as declined:
        client.payment_intents.confirm(intent.id, {"return_url": "https://shop.example/"})
    assert declined.value.code == "card_declined"
    assert json.loads(declined.value.http_body)["error"]["decline_code"] == "insufficient_funds"
    other = stripe.StripeClient("sk_test_other0000", base_addresses={"api": double.books.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        other.v1.balance.retrieve()
