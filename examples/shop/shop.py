"""A shop that sells one thing through paidonce. README.md explains each step; run it with `make shop`."""

import os
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from jinja2 import Environment, FileSystemLoader
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

PRODUCT, PRICE, CURRENCY = "Coffee beans, 250 g", 1290, "EUR"  # Amounts are integers in minor units: 12.90 EUR.
QUANTITY_MAX = 20
TABLES = """
CREATE TABLE IF NOT EXISTS purchase (
  id TEXT PRIMARY KEY, quantity INTEGER NOT NULL, amount INTEGER NOT NULL, checkout_id TEXT, paid_at TEXT) STRICT;
CREATE TABLE IF NOT EXISTS webhook (id TEXT PRIMARY KEY, received_at TEXT NOT NULL) STRICT;
"""

shop_url = os.environ.get("SHOP_URL", "http://localhost:8000")
webhook_secret = os.environ.get("SHOP_WEBHOOK_SECRET", "")
database = sqlite3.connect(os.environ.get("SHOP_DATABASE", "shop.db"))
database.row_factory = sqlite3.Row
database.executescript(TABLES)
paidonce = httpx.AsyncClient(
    base_url=os.environ.get("SHOP_API_URL", "http://localhost:3000"),
    headers={"Authorization": f"Bearer {os.environ.get('SHOP_API_KEY', '')}"},
    timeout=10,
)
templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
templates.filters["money"] = lambda amount: f"{amount // 100}.{amount % 100:02} {CURRENCY}"


def page(name: str, *, code: int = 200, **values: object) -> Response:
    return HTMLResponse(templates.get_template(name).render(product=PRODUCT, price=PRICE, **values), code)


def find_order(order_id: str) -> sqlite3.Row | None:
    found: sqlite3.Row | None = database.execute("SELECT * FROM purchase WHERE id = ?", [order_id]).fetchone()
    return found


def store_order(order_id: str, quantity: int) -> None:
    with database:  # Commits.
        values = [order_id, quantity, quantity * PRICE]
        database.execute("INSERT INTO purchase (id, quantity, amount) VALUES (?, ?, ?)", values)


def record_payment(checkout: dict[str, Any]) -> None:
    """Mark the order of a completed checkout as paid, once, and only if that is what was ordered."""
    values = [checkout["idempotencyKey"], checkout["amount"], checkout["currency"], CURRENCY]
    database.execute(
        "UPDATE purchase SET paid_at = datetime() WHERE id = ? AND amount = ? AND ? = ? AND paid_at IS NULL", values
    )


async def show_product(_: Request) -> Response:
    return page("product.html", quantity_max=QUANTITY_MAX)


async def fill_cart(request: Request) -> Response:
    quantity = str((await request.form()).get("quantity", ""))
    response = RedirectResponse("/cart", 303)
    response.set_cookie("cart", quantity, httponly=True, samesite="lax")
    return response


def quantity_in(request: Request) -> int:
    """Read the cart, which the customer's browser keeps: a number, whatever it sends. Prices never come from there."""
    quantity = request.cookies.get("cart", "")
    return min(int(quantity), QUANTITY_MAX) if re.fullmatch("[0-9]{1,3}", quantity) else 0


async def show_cart(request: Request) -> Response:
    # The order's id is drawn before the order is placed, so that pressing twice places one order.
    return page("cart.html", quantity=quantity_in(request), order_id=secrets.token_urlsafe(16))


async def place_order(request: Request) -> Response:
    """Store the order, then create its checkout, and send the customer there. All of it may be repeated."""
    order_id, quantity = str((await request.form()).get("order", "")), quantity_in(request)
    if find_order(order_id) is None and quantity and re.fullmatch("[A-Za-z0-9_-]{22}", order_id):
        store_order(order_id, quantity)
    order = find_order(order_id)
    if order is None:
        return RedirectResponse("/cart", 303)
    try:
        checkout = await create_checkout(order)
    except httpx.HTTPError:  # No answer, or an error. The customer can try the same order again.
        return page("order.html", code=503, order=order, status="UNAVAILABLE")
    with database:
        database.execute("UPDATE purchase SET checkout_id = ? WHERE id = ?", [checkout["id"], order_id])
    return RedirectResponse(checkout["url"], 303)


async def create_checkout(order: sqlite3.Row) -> dict[str, Any]:
    """Create the checkout of an order. The key is the order's id, so that one order is one checkout, for ever."""
    order_url = f"{shop_url}/orders/{order['id']}"
    body = {
        "amount": order["amount"],
        "currency": CURRENCY,
        "idempotencyKey": order["id"],
        "description": f"{order['quantity']} × {PRODUCT}",
        "successUrl": order_url,
        "cancelUrl": order_url,
    }
    response = await paidonce.post("/checkouts", json=body)
    checkout: dict[str, Any] = response.raise_for_status().json()
    return checkout


async def show_order(request: Request) -> Response:
    """Show an order. That somebody has come back to this URL proves nothing about its payment."""
    order = find_order(request.path_params["order_id"])
    if order is None:
        return page("order.html", code=404, order=None, status="MISSING")
    return page("order.html", order=order, status="COMPLETED" if order["paid_at"] else await read_status(order))


async def read_status(order: sqlite3.Row) -> str:
    """Ask paidonce, because the customer may be back before the webhook, and record a payment that it proves."""
    if order["checkout_id"] is None:
        return "PENDING"
    try:
        response = await paidonce.get(f"/checkouts/{order['checkout_id']}")
        checkout: dict[str, Any] = response.raise_for_status().json()
    except httpx.HTTPError:
        return "UNKNOWN"
    if checkout["status"] == "COMPLETED":
        with database:
            record_payment(checkout)
    return str(checkout["status"])


async def receive_webhook(request: Request) -> Response:
    """Verify the bytes as they came, and record what they say in one transaction with the webhook's id."""
    body = await request.body()
    try:
        event = Webhook(webhook_secret).verify(body, dict(request.headers))  # Refuses what is older than five minutes.
    except (WebhookVerificationError, ValueError):
        return Response(status_code=400)
    with database:
        seen = [request.headers["webhook-id"]]
        is_new = database.execute("INSERT OR IGNORE INTO webhook VALUES (?, datetime())", seen).rowcount == 1
        if is_new and event["type"] == "checkout.completed":
            record_payment(event["data"]["checkout"])
    return Response(status_code=204)  # Only now, after the commit: until then paidonce sends it again.


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with paidonce:
        yield


app = Starlette(
    routes=[
        Route("/", show_product),
        Route("/cart", show_cart),
        Route("/cart", fill_cart, methods=["POST"]),
        Route("/orders", place_order, methods=["POST"]),
        Route("/orders/{order_id}", show_order),
        Route("/webhooks", receive_webhook, methods=["POST"]),
    ],
    lifespan=lifespan,
)
