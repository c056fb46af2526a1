"""What a buyer sees: the page of an order. And what is there for everybody: the certificate that signs webhooks."""

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import TypeAlias
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from paidonce.proving.doubles.calls import ApiFailure, Json
from paidonce.proving.doubles.paypal import orders
from paidonce.proving.doubles.paypal.books import Books
from paidonce.proving.doubles.paypal.funding import BALANCE, FUNDINGS
from paidonce.proving.doubles.paypal.signing import make_chain
from paidonce.proving.doubles.server import Double

Page: TypeAlias = Callable[[Request], Awaitable[Response]]

CERTIFICATE = "/v1/notifications/certs/CERT-double"


def routes(double: Double[Books]) -> Sequence[BaseRoute]:
    """Return the routes of the pages."""
    chain = make_chain(double.books.clock())

    async def certificate(_request: Request) -> Response:
        return Response(chain, media_type="application/x-pem-file")

    return [
        Route("/checkoutnow", _approval_page(double), methods=["GET", "POST"]),
        Route(CERTIFICATE, certificate),
    ]


def _approval_page(double: Double[Books]) -> Page:
    """Return the page where a buyer approves (``act=approve``, ``funding=…``) or goes back (``act=cancel``)."""
    books = double.books

    async def page(request: Request) -> Response:
        order_id = request.query_params.get("token", "")
        books.client_id = books.owner_of(order_id)
        try:
            order = books.found("order", order_id)
        except ApiFailure:
            return _html("This page does not exist.", 404)
        if request.method != "POST":
            return _html(_form(order) if order["status"] in orders.WAITING else f"This order is {order['status']}.")
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        experience = order["_experience"]
        if given.get("act") == "cancel":
            return RedirectResponse(_with_token(experience["cancel_url"], order_id), 303)
        if (funding := given.get("funding", BALANCE)) not in FUNDINGS:
            return _html("There is no such funding.", 400)
        orders.approve(books, order, funding)
        await double.send_events()
        return RedirectResponse(_with_token(experience["return_url"], order_id, PayerID="BUYER"), 303)

    return page


def _with_token(url: str, order_id: str, **more: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'token': order_id, **more})}"


def _form(order: Json) -> str:
    amount = order["purchase_units"][0]["amount"]
    fundings = "".join(f"<option>{name}</option>" for name in FUNDINGS)
    return (
        f"<h1>Pay {escape(amount['value'])} {escape(amount['currency_code'])}</h1>"
        f'<form method="post"><select name="funding">{fundings}</select>'
        '<button name="act" value="approve">Pay now</button><button name="act" value="cancel">Cancel</button></form>'
    )


def _html(content: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>Double of PayPal</title>{content}", status)
