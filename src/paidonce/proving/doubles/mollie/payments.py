"""Payments, captures, releases and refunds: what each call and each act of a buyer changes."""

from typing import Any, Final

from paidonce.clock import DAY_MS, MINUTE_MS
from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.mollie.books import Books, Record
from paidonce.proving.doubles.mollie.params import DOCUMENTATION, HAL, HTML, MollieFailure, link, minor_units, written

# How long a payment of a method can be paid ("When does a payment expire", docs.mollie.com/docs/status-change).
EXPIRES_MS: Final = {"banktransfer": 12 * DAY_MS, "creditcard": 30 * MINUTE_MS, "paypal": 180 * MINUTE_MS}
EXPIRES_MS_OTHERWISE: Final = 15 * MINUTE_MS
CAPTURE_BEFORE_MS: Final = 7 * DAY_MS
CANCELABLE: Final = frozenset({None, "banktransfer", "creditcard"})  # While open. The others are with the bank already.
READINGS: Final = 3  # After which what is settled later is settled.
PREFIXES: Final = {"capture": "cpt", "refund": "re", "chargeback": "chb"}
LATER: Final[dict[str, str]] = {"later": "succeeded", "fails": "failed"}


def create(books: Books, account: str, params: Json) -> Json:
    """Create a payment."""
    payment_id, method = books.new_id("tr"), params.get("method")
    expires_ms = EXPIRES_MS.get(method or "", EXPIRES_MS_OTHERWISE)
    payment: Json = {
        "resource": "payment",
        "id": payment_id,
        "mode": "test",
        "createdAt": books.time(),
        "amount": params["amount"],
        "description": params["description"],
        "method": method,
        "metadata": params.get("metadata"),
        "status": "open",
        "isCancelable": method in CANCELABLE,
        "expiresAt": books.time(expires_ms),
        "profileId": "pfl_double0000",
        "sequenceType": "oneoff",
        "captureMode": params.get("captureMode", "automatic"),
        "redirectUrl": params["redirectUrl"],
        "cancelUrl": params.get("cancelUrl"),
        "webhookUrl": params.get("webhookUrl"),
        "_links": {
            "self": link(f"{books.url}/v2/payments/{payment_id}", HAL),
            "checkout": link(f"{books.url}/pay/{payment_id}", HTML),
            "dashboard": link(f"{books.url}/dashboard/{payment_id}", HTML),
            "documentation": link(DOCUMENTATION, HTML),
        },
    }
    record = Record(payment=payment, account=account, expires_at=books.clock() + expires_ms)
    books.records[payment_id] = record
    return payment


def retrieve(books: Books, record: Record, embed: str) -> Json:
    """Return a payment, with what is embedded."""
    expire_due(books, record)
    read(books, record)
    everything: dict[str, Any] = {
        "captures": record.captures,
        "refunds": record.refunds,
        "chargebacks": record.chargebacks,
    }
    wanted = {name: everything[name] for name in embed.split(",") if name in everything}
    return {**record.payment, "_embedded": wanted} if wanted else record.payment


def cancel(books: Books, record: Record) -> Json:
    """Cancel a payment, and release what is authorized."""
    expire_due(books, record)
    if not record.payment.get("isCancelable"):
        raise MollieFailure(422, "The payment cannot be canceled.")
    if record.payment["status"] == "authorized":
        release(books, record)
    else:
        end(books, record, "canceled")
    return record.payment


def end(books: Books, record: Record, status: str, reason: str | None = None) -> None:
    """Let a payment be paid, or not: what the buyer's act, or their bank, comes to."""
    payment = record.payment
    if payment["status"] not in {"open", "pending"}:
        return
    payment["method"] = payment["method"] or "creditcard"
    if status == "paid" and payment["captureMode"] == "manual":
        status = "authorized"
        payment["captureBefore"] = books.time(CAPTURE_BEFORE_MS)
    payment["status"] = status
    payment[f"{status}At"] = books.time()
    for gone in ("expiresAt", "isCancelable"):
        payment.pop(gone, None)
    payment["_links"].pop("checkout", None)
    if status == "authorized":
        payment["isCancelable"] = True
        books.move("authorization", record, payment, record.units)
    if status == "paid":
        books.move("charge", record, payment, record.units)
    if status == "failed":
        payment["details"] = {"failureReason": reason} if reason else {}
    books.tell(f"payment.{status}", record, payment)


def begin(books: Books, record: Record) -> None:
    """Let the buyer's bank work on a payment, which nobody can cancel any more."""
    if record.payment["status"] == "open":
        record.payment.update(status="pending", isCancelable=False)
        record.payment["_links"].pop("checkout", None)
        books.tell("payment.pending", record, record.payment)


def expire_due(books: Books, record: Record) -> None:
    """Expire an open payment whose time has come."""
    if record.payment["status"] == "open" and record.expires_at <= books.clock():
        end(books, record, "expired")


def capture(books: Books, record: Record, params: Json) -> Json:
    """Capture all that is authorized, or a part. More captures of the rest are possible."""
    if record.payment["status"] != "authorized":
        raise MollieFailure(422, f"The payment is {record.payment['status']}, and cannot be captured.")
    left = record.units - record.captured - record.pending
    units = _units(record, params, left)
    if units > left:
        raise MollieFailure(422, "The amount is higher than the amount that can be captured", "amount")
    made = _change(books, record, "capture", params, units)
    made["status"] = "pending"
    record.captures.append(made)
    if record.settlement == "now":
        settle_capture(books, record, made, "succeeded")
    return made


def settle_capture(books: Books, record: Record, made: Json, status: str) -> None:
    """End a pending capture."""
    made["status"] = status
    if status == "succeeded":
        books.move("capture", record, made, minor_units(made["amount"]))
        record.payment["amountCaptured"] = written(record.captured, made["amount"]["currency"])
    books.tell(f"capture.{status}", record, made)
    if record.captured == record.units:
        _settle(books, record)


def release(books: Books, record: Record) -> None:
    """Release what is authorized and not captured."""
    if record.payment["status"] != "authorized" or record.pending:
        raise MollieFailure(422, "The payment is not authorized, or a capture is pending.")
    books.move("release", record, record.payment, record.units - record.captured)
    _settle(books, record)


def refund(books: Books, record: Record, params: Json) -> Json:
    """Refund a paid payment, all that is left or a part."""
    if "amount" not in params:
        raise MollieFailure(422, "The amount is missing", "amount")
    units = _units(record, params, 0)
    if record.captured == 0 or units > record.captured - record.refunded:
        raise MollieFailure(422, "The amount is higher than the maximum", "amount")
    made = _change(books, record, "refund", params, units)
    made["status"] = "queued" if record.settlement == "now" else "pending"
    record.refunds.append(made)
    books.move("refund", record, made, units)
    if record.settlement == "now":
        settle_refund(books, record, made, "refunded")
    return made


def settle_refund(books: Books, record: Record, made: Json, status: str) -> None:
    """End a refund. One that was refunded may still fail, days later."""
    made["status"] = status
    if status in {"failed", "canceled"}:
        books.move("refund_failed", record, made, minor_units(made["amount"]))
    books.tell(f"refund.{status}", record, made)


def charge_back(books: Books, record: Record, units: int) -> Json:
    """Take money back for the buyer's bank."""
    made = _change(books, record, "chargeback", {}, units)
    made["reason"] = {"code": "AC01", "description": "The account is wrong"}
    record.chargebacks.append(made)
    books.tell("chargeback.received", record, made)
    return made


def read(books: Books, record: Record) -> None:
    """Read a payment once more: what is settled later is settled after some readings."""
    outcome = LATER.get(record.settlement)
    if outcome is None:
        return
    for made in [record.payment, *record.captures, *record.refunds]:
        if made["status"] != "pending":
            continue
        record.readings[made["id"]] = record.readings.get(made["id"], 0) + 1
        if record.readings[made["id"]] < READINGS:
            continue
        if made["resource"] == "payment":
            end(books, record, "paid" if outcome == "succeeded" else "failed")
        elif made["resource"] == "capture":
            settle_capture(books, record, made, outcome)
        else:
            settle_refund(books, record, made, "refunded" if outcome == "succeeded" else outcome)


def _settle(books: Books, record: Record) -> None:
    """End an authorization: it is paid if anything was captured, and canceled otherwise."""
    status = "paid" if record.captured else "canceled"
    record.payment.update({"status": status, f"{status}At": books.time()})
    record.payment.pop("isCancelable", None)
    books.tell(f"payment.{status}", record, record.payment)


def _units(record: Record, params: Json, otherwise: int) -> int:
    if "amount" not in params:
        return otherwise
    if params["amount"]["currency"] != record.payment["amount"]["currency"]:
        raise MollieFailure(422, "The currency is another than that of the payment", "amount.currency")
    return minor_units(params["amount"])


def _change(books: Books, record: Record, resource: str, params: Json, units: int) -> Json:
    change_id = books.new_id(PREFIXES[resource])
    links = {
        "self": link(f"{books.url}/v2/payments/{record.id}/{resource}s/{change_id}", HAL),
        "payment": link(f"{books.url}/v2/payments/{record.id}", HAL),
        "documentation": link(DOCUMENTATION, HTML),
    }
    return {
        "resource": resource,
        "id": change_id,
        "mode": "test",
        "amount": written(units, record.payment["amount"]["currency"]),
        "description": params.get("description", ""),
        "metadata": params.get("metadata"),
        "paymentId": record.id,
        "createdAt": books.time(),
        "_links": links,
    }
