"""The page of a checkout: its template, and the values that it shows."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from paidonce.buyer_pages.methods import Method
from paidonce.buyer_pages.state import BuyerState, is_unconfirmed, is_web_address, provider_url, shown_state, state_of
from paidonce.buyer_pages.texts import NOT_COMPLETED, decline_text
from paidonce.checkouts.model import ATTEMPTS_MAX, Checkout, CheckoutStatus
from paidonce.clock import Instant, format_instant
from paidonce.http.context import prefix_in
from paidonce.merchants.model import Mode
from paidonce.money import Money
from paidonce.pages.amounts import format_amount
from paidonce.pages.headers import page_headers
from paidonce.pages.languages import PARAMETER, Language, in_language_of, negotiate_language
from paidonce.pages.templates import Templates
from paidonce.profiles.colors import text_color_on
from paidonce.profiles.model import Profile

TEMPLATES: Final = Templates("paidonce.buyer_pages")
PATH: Final = "/pay"
SHOP_SECONDS: Final = 5  # Until a buyer who has paid, or cannot pay any more, is sent back to the shop.
# Without a script a page that waits loads itself again: soon at first, and rarely where it takes long.
REFRESH_SECONDS: Final = ((30_000, 2), (300_000, 10))
REFRESH_SECONDS_MAX: Final = 30
WAITS: Final = frozenset({BuyerState.WAITING, BuyerState.ACTION, BuyerState.IN_SHOP})
COLORS_MAX: Final = 256  # Style sheets in memory, of 4 kB each.


class OpenedPage(NamedTuple):
    """What a request opens: the token of the page, its checkout, and the profile of the merchant."""

    token: str
    checkout: Checkout
    profile: Profile


def show(request: Request, opened: OpenedPage, methods: Sequence[Method], charged: str, now: Instant) -> Response:
    """Respond with the page of a checkout as it stands. ``methods`` matter where it can be paid, and ``charged``, which
    says that nothing was charged, where it is not paid.
    """
    token, checkout, profile = opened
    state = state_of(checkout, now)
    language = language_of(request)
    values = (
        values_of(checkout, state, now, language)
        | _links(request, token, checkout, state, now)
        | _branding(profile)
        | {"methods": methods, "charged": charged}
    )
    # Where the script is on but cannot be loaded, this is what shows the outcome. A script cannot take it back, and the
    # page may show its state for as long, so it is rare.
    refresh = {"Refresh": str(REFRESH_SECONDS_MAX)} if state is BuyerState.WAITING else {}
    return TEMPLATES.respond(request, f"{state}.html", values, headers=_headers(profile.color) | refresh)


def page_path(request: Request, token: str) -> str:
    """Return the path of the page of a checkout, as the buyer's browser asks for it; with the language, if it names
    one.
    """
    return in_language_of(f"{prefix_in(request.scope)}{PATH}/{token}", request.query_params)


def language_of(request: Request) -> Language:
    """Return the language of the pages for a request: the one that it names, or that the browser prefers."""
    return negotiate_language(request.query_params.get(PARAMETER), request.headers.get("accept-language"))


def language_values(language: Language) -> dict[str, str]:
    """Return what every page shows of its language."""
    return {"language": language.tag, "direction": language.direction, "locale": language.locale}


def values_of(checkout: Checkout, state: BuyerState, now: Instant, language: Language) -> dict[str, Any]:
    """Return what the page shows of a checkout."""
    attempt = checkout.attempt
    paid_at = checkout.updated_at if attempt is None or attempt.settled_at is None else attempt.settled_at
    amount = checkout.amount_captured if checkout.status == CheckoutStatus.COMPLETED else checkout.amount
    refunded = checkout.amount_refunded
    has_failed = checkout.status == CheckoutStatus.FAILED and attempt is not None
    declined = decline_text(attempt.decline_code) if has_failed and attempt is not None else None
    return {
        **language_values(language),
        "description": checkout.description,
        "amount": format_amount(Money(amount, checkout.currency), language.locale),
        "is_test": checkout.mode == Mode.TEST,
        "declined": declined,
        "is_refusal": declined != NOT_COMPLETED,
        "attempt_count": checkout.attempt_count,
        "attempts_left": ATTEMPTS_MAX - checkout.attempt_count,
        "is_unconfirmed": is_unconfirmed(checkout),
        "refunded": Money(refunded, checkout.currency) if refunded else None,
        "paid_at": paid_at,
        "paid_at_utc": format_instant(paid_at),
        "reference": checkout.id,
        "refresh_seconds": SHOP_SECONDS if state not in WAITS else _refresh_seconds(checkout, now),
    }


def _links(request: Request, token: str, checkout: Checkout, state: BuyerState, now: Instant) -> dict[str, str | None]:
    events_path = f"{prefix_in(request.scope)}{PATH}/{token}/events"
    shop_url = checkout.success_url if state is BuyerState.PAID else checkout.cancel_url
    return {
        "page_url": page_path(request, token),
        "events_url": f"{events_path}?shown={shown_state(checkout, now)}",
        "provider_url": provider_url(checkout),
        "shop_url": shop_url if is_web_address(shop_url) else None,
    }


def _refresh_seconds(checkout: Checkout, now: Instant) -> int:
    waited = now - (checkout.attempt.created_at if checkout.attempt else now)
    return next((seconds for until, seconds in REFRESH_SECONDS if waited < until), REFRESH_SECONDS_MAX)


def _branding(profile: Profile) -> dict[str, Any]:
    """Return what the page shows of the merchant."""
    return {
        "style": style(profile.color),
        "shop_name": profile.shown_name,
        "logo": profile.logo,
        "support_email": profile.support_email,
        "support_url": profile.support_url if is_web_address(profile.support_url) else None,
    }


@lru_cache(maxsize=COLORS_MAX)
def style(color: str | None) -> Any:  # noqa: ANN401 - Markup, which is imported with Jinja2
    """Return the style sheet, which stands in each page: so a page is one response. Buttons have the merchant's color.

    Links keep ours, because they stand on the page, on which nobody has checked the merchant's color.
    """
    from markupsafe import Markup  # noqa: PLC0415 - with Jinja2, when the first page is asked for

    sheet = _sheet()
    if color is not None:
        # The border shows where a button is that is as pale as the page.
        sheet += f":root{{--button:{color};--on-button:{text_color_on(color)};--button-line:var(--text)}}\n"
    return Markup(sheet)  # noqa: S704 - our own file, and a color that was read as numbers


@cache
def _sheet() -> str:
    return files("paidonce.buyer_pages").joinpath("templates/buyer.css").read_text()


@lru_cache(maxsize=COLORS_MAX)
def _headers(color: str | None) -> dict[str, str]:
    """Return the headers of a page. Its policy names the digest of the one style sheet that it may hold."""
    digest = b64encode(hashlib.sha256(str(style(color)).encode()).digest()).decode()
    return page_headers(style_src=f"'self' 'sha256-{digest}'") | {"Referrer-Policy": "no-referrer"}


def plain_headers() -> dict[str, str]:
    """Return the headers of what is shown beside a checkout's page."""
    return {"Referrer-Policy": "no-referrer"}
