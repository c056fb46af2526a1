"""Authorizations, captures and refunds: what the merchant's calls change."""

from typing import Final

from paidonce.clock import DAY_MS
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.ledger import MovementKind
from paidonce.proving.doubles.paypal.bodies import NewCapture, NewRefund, minor_units, written
from paidonce.proving.doubles.paypal.books import LOOKS, Books, Kind, key_of
from paidonce.proving.doubles.paypal.failures import PayPalFailure

AUTHORIZATION_MS: Final = 29 * DAY_MS
PATHS: Final[dict[Kind, str]] = {
    "order": "/v2/checkout/orders",
    "authorization": "/v2/payments/authorizations",
    "capture": "/v2/payments/captures",
    "refund": "/v2/payments/refunds",
}


def add_capture(books: Books, order: Json, status: str, then: str) -> Json:
    """Capture an order."""
    unit = order["purchase_units"][0]
    made = _new(books, order, "capture", status, unit["amount"], up=("order", order["id"]))
    made |= {"custom_id": unit.get("custom_id"), "final_capture": True}
    books.keys[made["id"]] = key_of(order)
    _begin(books, "capture", made, then)
    return made


def add_authorization(books: Books, order: Json, status: str, then: str) -> Json:
    """Authorize an order."""
    unit = order["purchase_units"][0]
    made = _new(books, order, "authorization", status, unit["amount"], up=("order", order["id"]))
    made |= {
        "custom_id": unit.get("custom_id"),
        "expiration_time": books.time(books.clock() + AUTHORIZATION_MS),
    }
    books.keys[made["id"]] = key_of(order)
    _begin(books, "authorization", made, then)
    return made


def capture(books: Books, authorization: Json, body: NewCapture) -> Json:
    """Capture an authorization."""
    _expect_held(books, authorization, "AUTHORIZATION_ALREADY_CAPTURED", "AUTHORIZATION_VOIDED")
    amount = body.amount and minor_units(body.amount)
    held = minor_units(authorization["amount"])
    if body.amount and body.amount.currency_code != authorization["amount"]["currency_code"]:
        raise PayPalFailure(422, "AUTH_CAPTURE_CURRENCY_MISMATCH")
    if (amount or held) > held:
        raise PayPalFailure(422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
    order = books.order_of(authorization)
    money = written(amount or held, authorization["amount"]["currency_code"])
    funding = books.funding_of(order)
    made = _new(books, order, "capture", funding.capture, money, up=("authorization", authorization["id"]))
    made |= {
        "custom_id": authorization.get("custom_id"),
        "invoice_id": body.invoice_id,
        "final_capture": body.final_capture,
    }
    made["supplementary_data"]["related_ids"]["authorization_id"] = authorization["id"]
    books.keys[made["id"]] = body.invoice_id or ""
    authorization["status"] = "CAPTURED" if body.final_capture else "PARTIALLY_CAPTURED"
    _begin(books, "capture", made, funding.capture_then)
    return made


def void(books: Books, authorization: Json) -> Json:
    """Release an authorization."""
    _expect_held(books, authorization, "PREVIOUSLY_CAPTURED", "PREVIOUSLY_VOIDED")
    authorization["status"] = "VOIDED"
    books.move_all("release", authorization, authorization["id"], books.request_id)
    books.tell("PAYMENT.AUTHORIZATION.VOIDED", "authorization", authorization)
    return authorization


def refund(books: Books, source: Json, body: NewRefund) -> Json:
    """Refund a capture, or a part of it."""
    if source["status"] == "PENDING":
        raise PayPalFailure(422, "PENDING_CAPTURE")
    if source["status"] == "REFUNDED":
        raise PayPalFailure(422, "CAPTURE_FULLY_REFUNDED")
    if source["status"] not in {"COMPLETED", "PARTIALLY_REFUNDED"}:
        raise PayPalFailure(422, "REFUND_NOT_ALLOWED")
    currency = source["amount"]["currency_code"]
    if body.amount and body.amount.currency_code != currency:
        raise PayPalFailure(422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
    left = minor_units(source["amount"]) - _refunded(books, source)
    amount = minor_units(body.amount) if body.amount else left
    if amount > left:
        raise PayPalFailure(422, "REFUND_AMOUNT_EXCEEDED")
    order = books.order_of(source)
    funding = books.funding_of(order)
    made = _new(books, order, "refund", funding.refund, written(amount, currency), up=("capture", source["id"]))
    made |= {"custom_id": body.custom_id or source.get("custom_id"), "invoice_id": body.invoice_id}
    made["supplementary_data"]["related_ids"]["capture_id"] = source["id"]
    books.keys[made["id"]] = (body.custom_id or "").rpartition("-")[2]
    _mark_refunded(books, source)
    _begin(books, "refund", made, funding.refund_then)
    return made


def decide_pending(books: Books, order: Json) -> None:
    """Decide the pending payments of an order that was looked at often enough."""
    of_unit = order["purchase_units"][0].get("payments", {})
    kinds: tuple[Kind, ...] = ("authorization", "capture", "refund")
    for kind in kinds:
        for payment in of_unit.get(f"{kind}s", []):
            if payment["id"] not in books.pending:
                continue
            then, looks = books.pending[payment["id"]]
            books.pending[payment["id"]] = (then, looks - 1)
            if looks <= 0:
                decide(books, kind, payment, then)


def decide(books: Books, kind: Kind, payment: Json, status: str) -> None:
    """Give a pending payment its last status."""
    books.pending.pop(payment["id"], None)
    payment["status"] = status
    if kind == "capture" and status == "DECLINED":
        payment["status_details"] = {"reason": "OTHER"}
        if (of := payment["supplementary_data"]["related_ids"].get("authorization_id")) is not None:
            books.objects["authorization"][of]["status"] = "CREATED"
    if kind == "refund":
        _mark_refunded(books, books.objects["capture"][payment["supplementary_data"]["related_ids"]["capture_id"]])
    _tell(books, kind, payment)


def _new(books: Books, order: Json, kind: Kind, status: str, amount: Json, *, up: tuple[Kind, str]) -> Json:
    made_id = books.new_id(kind[0].upper())
    links = [
        {"href": f"{books.url}{PATHS[kind]}/{made_id}", "rel": "self", "method": "GET"},
        {"href": f"{books.url}{PATHS[up[0]]}/{up[1]}", "rel": "up", "method": "GET"},
    ]
    made: Json = {
        "id": made_id,
        "status": status,
        "amount": dict(amount),
        "supplementary_data": {"related_ids": {"order_id": order["id"]}},
        "create_time": books.time(),
        "update_time": books.time(),
        "links": links,
    }
    books.objects[kind][made_id] = made
    order["purchase_units"][0].setdefault("payments", {}).setdefault(f"{kind}s", []).append(made)
    return made


def _begin(books: Books, kind: Kind, made: Json, then: str) -> None:
    if then:
        books.pending[made["id"]] = (then, LOOKS)
    _tell(books, kind, made)


def _tell(books: Books, kind: Kind, payment: Json) -> None:
    """Book what a payment has moved, and tell it."""
    status, key = payment["status"], books.keys[payment["id"]]
    related = payment["supplementary_data"]["related_ids"]
    if (kind, status) == ("capture", "COMPLETED"):
        authorization_id = related.get("authorization_id")
        moved_by: MovementKind = "capture" if authorization_id else "charge"
        books.move_all(moved_by, payment, authorization_id or payment["id"], key)
        if authorization_id:
            _release_rest(books, books.objects["authorization"][authorization_id], payment)
    elif (kind, status) == ("authorization", "CREATED"):
        books.move_all("authorization", payment, payment["id"], key)
    elif (kind, status) == ("refund", "COMPLETED"):
        books.move_all("refund", payment, _charge_of(books, related["capture_id"]), key)
    names = {
        ("capture", "COMPLETED"): "PAYMENT.CAPTURE.COMPLETED",
        ("capture", "PENDING"): "PAYMENT.CAPTURE.PENDING",
        ("capture", "DECLINED"): "PAYMENT.CAPTURE.DECLINED",
        ("authorization", "CREATED"): "PAYMENT.AUTHORIZATION.CREATED",
        ("refund", "COMPLETED"): "PAYMENT.CAPTURE.REFUNDED",
        ("refund", "PENDING"): "PAYMENT.REFUND.PENDING",
        ("refund", "FAILED"): "PAYMENT.REFUND.FAILED",
    }
    if name := names.get((kind, status)):
        books.tell(name, kind, payment)


def _release_rest(books: Books, authorization: Json, captured: Json) -> None:
    """Release what the last capture of an authorization leaves."""
    rest = minor_units(authorization["amount"]) - minor_units(captured["amount"])
    if captured["final_capture"] and rest:
        books.move("release", authorization, rest, authorization["id"], "")


def _charge_of(books: Books, capture_id: str) -> str:
    """Return the id of the charge that a capture belongs to: its authorization, or itself."""
    related = books.objects["capture"][capture_id]["supplementary_data"]["related_ids"]
    return str(related.get("authorization_id", capture_id))


def _refunded(books: Books, source: Json) -> int:
    return sum(
        minor_units(one["amount"])
        for one in books.objects["refund"].values()
        if one["supplementary_data"]["related_ids"]["capture_id"] == source["id"] and one["status"] != "FAILED"
    )


def _mark_refunded(books: Books, source: Json) -> None:
    refunded, captured = _refunded(books, source), minor_units(source["amount"])
    source["status"] = "COMPLETED" if not refunded else "REFUNDED" if refunded == captured else "PARTIALLY_REFUNDED"


def _expect_held(books: Books, authorization: Json, captured: str, voided: str) -> None:
    reasons = {
        "CAPTURED": captured,
        "PARTIALLY_CAPTURED": captured,
        "VOIDED": voided,
        "DENIED": "AUTHORIZATION_DENIED",
    }
    if (reason := reasons.get(authorization["status"])) is not None:
        raise PayPalFailure(422, reason)
    if authorization["expiration_time"] <= books.time():
        raise PayPalFailure(422, "AUTHORIZATION_EXPIRED")
