"""What a buyer sees: Mollie's page, where a test says what becomes of the payment."""

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Final, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from paidonce.proving.doubles.calls import Reply
from paidonce.proving.doubles.mollie import payments
from paidonce.proving.doubles.mollie.books import Books, Record
from paidonce.proving.doubles.mollie.params import MollieFailure, minor_units
from paidonce.proving.doubles.server import Double, response

Page: TypeAlias = Callable[[Request], Awaitable[Response]]
ACTS: Final = {"pay": "paid", "fail": "failed", "cancel": "canceled", "expire": "expired"}


def routes(double: Double[Books]) -> Sequence[BaseRoute]:
    """Return the pages. ``POST /double/payments/{id}/{status}`` ends a pending payment, captures and refunds have the
    same, and ``/double/payments/{id}/refunds`` and ``/chargebacks`` are what nobody asked for, for tests.
    """
    return [
        Route("/pay/{id}", _checkout_page(double), methods=["GET", "POST"]),
        Route("/double/payments/{id}/refunds", _from_outside(double, "refund"), methods=["POST"]),
        Route("/double/payments/{id}/chargebacks", _from_outside(double, "chargeback"), methods=["POST"]),
        Route("/double/payments/{id}/{status}", _settle(double, "payment"), methods=["POST"]),
        Route("/double/captures/{id}/{status}", _settle(double, "capture"), methods=["POST"]),
        Route("/double/refunds/{id}/{status}", _settle(double, "refund"), methods=["POST"]),
    ]


def _checkout_page(double: Double[Books]) -> Page:
    """Return the page where a buyer pays (``act=pay``), is refused (``act=fail``, ``reason=…``), goes back
    (``act=cancel``), or lets the payment expire. ``act=begin`` leaves it pending at the bank. ``settlement`` is how
    captures and refunds of it go: ``now``, ``later`` or ``fails``.
    """
    books = double.books

    async def page(request: Request) -> Response:
        try:
            record = books.found(request.path_params["id"])
        except MollieFailure:
            return _html("This page does not exist.", 404)
        payments.expire_due(books, record)
        if request.method == "POST" and record.payment["status"] == "open":
            _act(books, record, await _form(request))
        await double.send_events()
        if request.method == "POST":
            return RedirectResponse(_next_url(record), 303)
        if record.payment["status"] != "open":
            return _html(f"This payment is {record.payment['status']}.", 410)
        amount = record.payment["amount"]
        buttons = "".join(f'<button name="act" value="{act}">{act}</button>' for act in ACTS)
        return _html(f"<h1>Pay {escape(amount['value'])} {amount['currency']}</h1><form method=post>{buttons}</form>")

    return page


def _act(books: Books, record: Record, given: dict[str, str]) -> None:
    record.settlement = given.get("settlement", "now")
    act = given.get("act", "pay")
    if act == "begin":
        payments.begin(books, record)
    elif act in ACTS:
        payments.end(books, record, ACTS[act], given.get("reason"))


def _next_url(record: Record) -> str:
    went_back = record.payment["status"] == "canceled" and record.payment["cancelUrl"]
    return str(record.payment["cancelUrl"] if went_back else record.payment["redirectUrl"])


def _settle(double: Double[Books], what: str) -> Page:
    books = double.books

    async def settle(request: Request) -> Response:
        wanted, status = request.path_params["id"], request.path_params["status"]
        for record in books:
            if what == "payment" and record.id == wanted:
                payments.end(books, record, status)
            for made in record.captures if what == "capture" else record.refunds if what == "refund" else []:
                if made["id"] == wanted and what == "capture":
                    payments.settle_capture(books, record, made, status)
                elif made["id"] == wanted:
                    payments.settle_refund(books, record, made, status)
        await double.send_events()
        return response(Reply(200, {}))

    return settle


def _from_outside(double: Double[Books], what: str) -> Page:
    """Refund or charge back the form's ``value`` of a payment, without a call of ours."""
    books = double.books

    async def change(request: Request) -> Response:
        record = books.found(request.path_params["id"])
        amount = {"currency": record.payment["amount"]["currency"], "value": (await _form(request))["value"]}
        if what == "refund":
            payments.refund(books, record, {"amount": amount})
        else:
            payments.charge_back(books, record, minor_units(amount))
        await double.send_events()
        return response(Reply(200, {}))

    return change


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def _html(content: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>Double of Mollie</title>{content}", status)
