"""Orders: what the merchant's calls and the buyer on the page change."""

import re
from collections.abc import Sequence

import msgspec

from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.paypal import payments
from paidonce.proving.doubles.paypal.bodies import Change, NewOrder, minor_units
from paidonce.proving.doubles.paypal.books import Books
from paidonce.proving.doubles.paypal.failures import PayPalFailure
from paidonce.proving.doubles.paypal.funding import BALANCE

WAITING = frozenset({"CREATED", "PAYER_ACTION_REQUIRED"})
REASONS = {"CAPTURE": "ORDER_ALREADY_CAPTURED", "AUTHORIZE": "ORDER_ALREADY_AUTHORIZED"}


def create(books: Books, body: NewOrder) -> Json:
    """Create an order, which waits for its buyer."""
    minor_units(body.purchase_units[0].amount)
    order_id = books.new_id("O")
    order: Json = {
        "id": order_id,
        "intent": body.intent,
        "status": "PAYER_ACTION_REQUIRED",
        "payment_source": {"paypal": {}},
        "purchase_units": [{"reference_id": "default"} | msgspec.to_builtins(body.purchase_units[0])],
        "create_time": books.time(),
        "links": [],
        "_experience": msgspec.to_builtins(body.payment_source.paypal.experience_context),
    }
    books.objects["order"][order_id] = order
    return order


def shown(books: Books, order: Json) -> Json:
    """Return an order as PayPal shows it: with the links for what can be done next."""
    payments.decide_pending(books, order)
    own = f"{books.url}/v2/checkout/orders/{order['id']}"
    links = [{"href": own, "rel": "self", "method": "GET"}]
    if order["status"] in WAITING:
        links.append({"href": f"{books.url}/checkoutnow?token={order['id']}", "rel": "payer-action", "method": "GET"})
    elif order["status"] == "APPROVED":
        action = order["intent"].lower()
        links.append({"href": f"{own}/{action}", "rel": action, "method": "POST"})
    return {name: value for name, value in order.items() if not name.startswith("_")} | {"links": links}


def change(books: Books, order: Json, changes: Sequence[Change]) -> None:
    """Change an order: all changes or none."""
    if order["status"] not in books.patchable:
        raise PayPalFailure(422, "ORDER_ALREADY_COMPLETED" if order["status"] == "COMPLETED" else "NOT_PATCHABLE")
    unit = order["purchase_units"][0]
    custom_id = f"/purchase_units/@reference_id=='{unit['reference_id']}'/custom_id"
    for one in changes:
        if one.path not in {"/intent", custom_id}:
            reference = re.match("/purchase_units/@reference_id==", one.path)
            raise PayPalFailure(422, "REFERENCE_ID_NOT_FOUND" if reference else "NOT_PATCHABLE", field=one.path)
        if one.path == "/intent" and one.value not in REASONS:
            raise PayPalFailure(422, "UNSUPPORTED_PATCH_PARAMETER_VALUE", field=one.path)
    for one in changes:
        if one.path == "/intent":
            order["intent"] = one.value
        else:
            unit["custom_id"] = one.value


def charge(books: Books, order: Json, intent: str) -> Json:
    """Capture or authorize an order, once."""
    if order["status"] == "COMPLETED":
        raise PayPalFailure(422, REASONS[intent])
    if order["intent"] != intent:
        described = f"Order was created with an intent to '{order['intent']}'."
        raise PayPalFailure(422, "ACTION_DOES_NOT_MATCH_INTENT", described)
    if order["status"] != "APPROVED":
        raise PayPalFailure(422, "ORDER_NOT_APPROVED")
    funding = books.funding_of(order)
    if funding.issue:
        raise PayPalFailure(422, funding.issue)
    if funding.asks_again:
        books.funding[order["id"]] = BALANCE
        order["status"] = "PAYER_ACTION_REQUIRED"
        raise PayPalFailure(422, "PAYER_ACTION_REQUIRED")
    order["status"] = "COMPLETED"
    if intent == "CAPTURE":
        payments.add_capture(books, order, funding.charge, funding.charge_then)
    else:
        status = {"COMPLETED": "CREATED", "PENDING": "PENDING"}[funding.charge]
        then = {"COMPLETED": "CREATED", "DECLINED": "DENIED", "": ""}[funding.charge_then]
        payments.add_authorization(books, order, status, then)
    return shown(books, order)


def approve(books: Books, order: Json, funding: str) -> None:
    """Approve an order as the buyer, and choose what it is paid with. It moves no money."""
    if order["status"] in WAITING:
        order["status"] = "APPROVED"
        order["payment_source"] = {"paypal": {"email_address": "buyer@example.com", "account_id": "BUYER"}}
        books.funding[order["id"]] = funding
        books.tell("CHECKOUT.ORDER.APPROVED", "checkout-order", shown(books, order))
