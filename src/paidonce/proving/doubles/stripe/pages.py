"""What a buyer sees: the page of a Checkout Session, and the page of the bank for 3-D Secure."""

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import TypeAlias
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from paidonce.proving.doubles.calls import Json, Reply
from paidonce.proving.doubles.server import Double, response
from paidonce.proving.doubles.stripe import payments, sessions
from paidonce.proving.doubles.stripe.books import Books
from paidonce.proving.doubles.stripe.cards import CARDS
from paidonce.proving.doubles.stripe.params import StripeFailure

Page: TypeAlias = Callable[[Request], Awaitable[Response]]


def routes(double: Double[Books]) -> Sequence[BaseRoute]:
    """Return the pages. ``POST /double/refunds/{id}/{status}`` settles a pending refund, for tests."""
    return [
        Route("/pay/{id}", _checkout_page(double), methods=["GET", "POST"]),
        Route("/3ds/{id}", _bank_page(double), methods=["GET", "POST"]),
        Route("/elements/{id}", _confirm_with_secret(double), methods=["POST"]),
        Route("/double/refunds/{id}/{status}", _settle_refund(double), methods=["POST"]),
    ]


def _checkout_page(double: Double[Books]) -> Page:
    """Return the page where a buyer pays (``act=pay``, ``method=pm_card_…``) or goes back (``act=cancel``)."""
    books = double.books

    async def page(request: Request) -> Response:
        given = await _form(request)
        try:
            session = _found(books, "checkout.session", request.path_params["id"])
        except StripeFailure:
            return _html("This page does not exist.", 404)
        sessions.expire_due(books)
        if request.method == "POST":
            if given.get("act") == "cancel":
                next_url = session["cancel_url"] or session["success_url"]
            else:
                next_url = sessions.pay(books, session, given.get("method", "pm_card_visa"))
            await double.send_events()
            return RedirectResponse(next_url, 303)
        await double.send_events()
        if session["status"] != "open":
            return _html(f"This Checkout Session is {session['status']}.", 410)
        return _html(_checkout_form(session))

    return page


def _bank_page(double: Double[Books]) -> Page:
    """Return the page where a buyer approves (``act=approve``) or refuses (``act=refuse``) a payment."""
    books = double.books

    async def page(request: Request) -> Response:
        given = await _form(request)
        try:
            intent = _found(books, "payment_intent", request.path_params["id"])
        except StripeFailure:
            return _html("This page does not exist.", 404)
        if intent["status"] != "requires_action":
            return _html("There is nothing to approve.", 410)
        if request.method != "POST":
            return _html(f"<h1>Your bank</h1><p>{_price(intent)}</p>{_button('approve')}{_button('refuse')}")
        return_url = intent["next_action"]["redirect_to_url"]["return_url"]
        payments.authenticate(books, intent, approved=given.get("act") == "approve")
        session = sessions.session_of(books, intent)
        if session is None:
            query = urlencode({"payment_intent": intent["id"], "redirect_status": "succeeded"})
            next_url = f"{return_url}{'&' if '?' in return_url else '?'}{query}"
        else:
            next_url = sessions.complete(books, session, intent)
        await double.send_events()
        return RedirectResponse(next_url, 303)

    return page


def _confirm_with_secret(double: Double[Books]) -> Page:
    """Return the call of Stripe's script on a merchant's page: it confirms with ``client_secret`` and ``method``, and
    sends the buyer to ``return_url``, or to their bank.
    """
    books = double.books

    async def confirm(request: Request) -> Response:
        given = await _form(request)
        try:
            intent = _found(books, "payment_intent", request.path_params["id"])
        except StripeFailure:
            return _html("There is no such payment.", 404)
        if given.get("client_secret") != intent["client_secret"]:
            return _html("This is not the client secret.", 401)
        try:
            payments.confirm(books, intent, {"payment_method": given["method"], "return_url": given["return_url"]})
        except StripeFailure as failed:
            return response(failed.reply)
        finally:
            await double.send_events()
        action = intent["next_action"]
        return RedirectResponse(action["redirect_to_url"]["url"] if action else given["return_url"], 303)

    return confirm


def _settle_refund(double: Double[Books]) -> Page:
    async def settle(request: Request) -> Response:
        made = double.books.refunds[request.path_params["id"]]
        settled = payments.settle_refund(double.books, made, request.path_params["status"])
        await double.send_events()
        return response(Reply(200, settled))

    return settle


def _found(books: Books, kind: str, object_id: str) -> Json:
    """Return what a page shows. What follows, until anything is awaited, is done for the account that it belongs to."""
    books.secret_key, books.idempotency_key = books.owner_of(object_id), ""
    return books.found(kind, object_id)


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def _checkout_form(session: Json) -> str:
    methods = "".join(f"<option>{name}</option>" for name in CARDS)
    return (
        f'<h1>Pay {_price(session)}</h1><form method="post"><select name="method">{methods}</select>'
        f'<button name="act" value="pay">Pay</button></form>{_button("cancel")}'
    )


def _price(priced: Json) -> str:
    return escape(f"{priced.get('amount_total', priced.get('amount'))} {priced['currency'].upper()}")


def _button(act: str) -> str:
    return f'<form method="post"><button name="act" value="{act}">{act}</button></form>'


def _html(content: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>Double of Stripe</title>{content}", status)
