"""What a buyer sees: the page of a payment link, and the page of the bank for 3-D Secure."""

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from paidonce.proving.doubles.adyen import links, payments
from paidonce.proving.doubles.adyen.books import Books
from paidonce.proving.doubles.adyen.cards import PAGE_CARDS
from paidonce.proving.doubles.adyen.params import AdyenFailure
from paidonce.proving.doubles.calls import Json, Reply
from paidonce.proving.doubles.server import Double, response

Page: TypeAlias = Callable[[Request], Awaitable[Response]]


def routes(double: Double[Books]) -> Sequence[BaseRoute]:
    """Return the pages. ``POST /double/refunds/{id}/failed`` lets a refund fail, for tests."""
    return [
        Route("/link/{id}", _link_page(double), methods=["GET", "POST"]),
        Route("/bank/{id}", _bank_page(double), methods=["GET", "POST"]),
        Route("/double/refunds/{id}/failed", _fail_refund(double), methods=["POST"]),
    ]


def _link_page(double: Double[Books]) -> Page:
    """Return the page where a buyer pays (``act=pay``, ``method=approved``, …) or leaves (``act=cancel``)."""
    books = double.books

    async def page(request: Request) -> Response:
        given = await _form(request)
        link = _found(books, request.path_params["id"])
        if link is None:
            return _html("This page does not exist.", 404)
        if request.method != "POST":
            is_open = link["status"] == "active"
            return _html(_form_of(link)) if is_open else _html(f"This payment link is {link['status']}.", 410)
        card = PAGE_CARDS.get(given.get("method", "approved"))
        if given.get("act") == "cancel" or link["status"] != "active" or card is None:
            return RedirectResponse(_back(link), 303)
        if card.asks_buyer:
            return RedirectResponse(f"{books.url}/bank/{link['id']}", 303)
        paid = links.pay(books, link, card)
        await double.send_events()
        return RedirectResponse(_back(link) if paid else link["url"], 303)

    return page


def _bank_page(double: Double[Books]) -> Page:
    """Return the page where a buyer approves (``act=approve``) or refuses (``act=refuse``).

    A payment that was begun before its link expired goes on here. Adyen does not document that, and it is the worse
    case.
    """
    books = double.books

    async def page(request: Request) -> Response:
        given = await _form(request)
        link = _found(books, request.path_params["id"])
        if link is None or link["status"] == "completed":
            return _html("There is nothing to approve.", 410)
        if request.method != "POST":
            return _html(f"<h1>Your bank</h1>{_button('approve')}{_button('refuse')}")
        approved = given.get("act") == "approve"
        links.pay(books, link, PAGE_CARDS["3ds"], None if approved else "3D Not Authenticated")
        await double.send_events()
        return RedirectResponse(_back(link) if approved else link["url"], 303)

    return page


def _fail_refund(double: Double[Books]) -> Page:
    async def fail(request: Request) -> Response:
        made = double.books.modifications[request.path_params["id"]]
        payments.fail_refund(double.books, made)
        await double.send_events()
        return response(Reply(200, made))

    return fail


def _found(books: Books, link_id: str) -> Json | None:
    """Return the link of a page. What follows, until anything is awaited, is done for the account that owns it."""
    books.api_key = books.owner_of(link_id)
    try:
        return books.link(link_id)
    except AdyenFailure:
        return None


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def _back(link: Json) -> str:
    return str(link.get("returnUrl") or link["url"])


def _form_of(link: Json) -> str:
    methods = "".join(f"<option>{name}</option>" for name in PAGE_CARDS)
    price = escape(f"{link['amount']['value']} {link['amount']['currency']}")
    return (
        f'<h1>Pay {price}</h1><form method="post"><select name="method">{methods}</select>'
        f'<button name="act" value="pay">Pay</button></form>{_button("cancel")}'
    )


def _button(act: str) -> str:
    return f'<form method="post"><button name="act" value="{act}">{act}</button></form>'


def _html(content: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>Double of Adyen</title>{content}", status)
