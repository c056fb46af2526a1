"""The page of the simulated provider, on which a buyer approves or declines. It needs no script."""

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from paidonce.providers.simulator.session_books import SessionState, SessionStatus, SessionStep
from paidonce.providers.simulator.simulation import Simulation

# There is no form-action: browsers would apply it to the redirect after the form, which leads to the shop.
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STYLE: Final = """\
:root{color-scheme:light dark}
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}
button{font:inherit;padding:.6rem 1.2rem;margin:.5rem .5rem .5rem 0}
.amount{font-size:1.6rem}
"""
ENDED: Final = {
    SessionStatus.APPROVED: "You have approved this payment.",
    SessionStatus.CHARGED: "This payment has ended.",
    SessionStatus.CLOSED: "This payment was closed. Nothing was charged.",
}
EXPIRED: Final = "This payment has expired. Nothing was charged."


def page_routes(simulation: Simulation) -> list[Route]:
    """Return the routes of the page: ``/{reference}``, with ``/approve`` and ``/decline`` to post to."""

    async def show(request: Request) -> Response:
        found = await simulation.find_session(request.path_params["reference"])
        return _missing() if found is None else _page(found)

    async def approve(request: Request) -> Response:
        return _sent_back(await simulation.act(request.path_params["reference"], SessionStep.APPROVE))

    async def decline(request: Request) -> Response:
        return _sent_back(await simulation.act(request.path_params["reference"], SessionStep.DECLINE))

    return [
        Route("/{reference}", show, methods=["GET"]),
        Route("/{reference}/approve", approve, methods=["POST"]),
        Route("/{reference}/decline", decline, methods=["POST"]),
    ]


def _sent_back(found: SessionState | None) -> Response:
    return _missing() if found is None else RedirectResponse(found.session.return_url, 303, HEADERS)


def _missing() -> Response:
    return _html("There is no such payment", "<p>The link is wrong, or the simulator has other records.</p>", 404)


def _page(found: SessionState) -> Response:
    session = found.session
    details = f'<p class="amount">{session.amount} {escape(session.currency)}, in minor units</p>'
    if session.description:
        details += f"<p>{escape(session.description)}</p>"
    if session.status == SessionStatus.OPEN and not found.is_expired:
        action = (
            f'<form method="post"><button formaction="{session.reference}/approve">Approve</button>'
            f'<button formaction="{session.reference}/decline">Decline</button></form>'
        )
    else:
        text = EXPIRED if found.is_expired else ENDED[SessionStatus(session.status)]
        action = f'<p>{text}</p><p><a href="{escape(session.return_url)}">Back</a></p>'
    return _html("Simulated payment", f"{details}<p>No money moves here.</p>{action}", 200)


def _html(title: str, body: str, status: int) -> Response:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        HEADERS,
    )
