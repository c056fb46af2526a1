"""What the calls about profiles read and respond with."""

import re
from base64 import b64decode
from binascii import Error
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from paidonce.clock import format_instant
from paidonce.http.formats import check_text
from paidonce.http.tenancy import TenantFields
from paidonce.profiles.colors import contrast
from paidonce.profiles.images import SIDE_MAX, ImageRefused, judge_image
from paidonce.profiles.model import DISPLAY_NAME_LENGTH_MAX, LOGO_BYTES_MAX, Profile

BASE64_LENGTH_MAX: Final = -(-LOGO_BYTES_MAX // 3) * 4
# Controls, line breaks, and marks that turn the direction of what follows: a name could pretend to be another.
_HIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def check_display_name(name: str) -> str | None:
    """Refuse a name that does not look as it is, and a card number."""
    if _HIDDEN.search(name):
        return "This contains a control character or a mark of direction."
    return "This is empty." if name and not name.strip() else check_text(name)


def check_support_url(url: str) -> str | None:
    """Refuse a URL without a host, with an invalid port, or with a user."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return "This is not a URL."
    if url and (not parts.hostname or parts.username is not None):
        return "This URL has no host." if not parts.hostname else "This URL names a user."
    return None


def check_logo(content: str) -> str | None:
    """Refuse what is no image that is taken for a logo."""
    if not content:
        return None
    try:
        decoded = b64decode(content, validate=True)
    except (Error, ValueError):
        return "This is not base64."
    if len(decoded) > LOGO_BYTES_MAX:
        return f"The image has {len(decoded)} bytes; at most {LOGO_BYTES_MAX} fit."
    try:
        judge_image(decoded)
    except ImageRefused as error:
        return str(error)
    return None


class GetProfileParameters(TenantFields, frozen=True, kw_only=True):
    """Whose profile to read. Where no mode is given or known, it is the one of test mode."""


class UpdateProfileBody(TenantFields, frozen=True, kw_only=True):
    """What to change of a profile. An absent field stays as it is, and an empty text removes."""

    display_name: (
        Annotated[
            str, Meta(max_length=DISPLAY_NAME_LENGTH_MAX, description="What buyers know the merchant as; one line.")
        ]
        | None
    ) = None
    color: (
        Annotated[
            str,
            Meta(
                pattern=r"^(#[0-9a-fA-F]{6})?\Z",
                description="`#rrggbb`, the color of the button. Its text is black or white, whichever contrasts more.",
            ),
        ]
        | None
    ) = None
    checkout_page: Annotated[bool, Meta(description="Whether checkouts have a `url` on which buyers pay.")] | None = (
        None
    )
    support_email: (
        Annotated[
            str,
            Meta(
                pattern=r"^([A-Za-z0-9._+~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)?\Z",
                max_length=254,
                description="Where buyers can write to.",
            ),
        ]
        | None
    ) = None
    support_url: (
        Annotated[
            str,
            Meta(pattern=r"^(https://[!-~]+)?\Z", max_length=2048, description="An https page where buyers find help."),
        ]
        | None
    ) = None
    logo: (
        Annotated[
            str,
            Meta(
                max_length=BASE64_LENGTH_MAX,
                description=f"A PNG, JPEG or WebP image in base64: at most {LOGO_BYTES_MAX} bytes and {SIDE_MAX} × "
                f"{SIDE_MAX} pixels.",
            ),
        ]
        | None
    ) = None

    checks: ClassVar = {
        "displayName": check_display_name,
        "supportUrl": check_support_url,
        "logo": check_logo,
    }


class LogoResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A logo. ``path`` is where the service serves it to buyers; other bytes have another path."""

    path: str
    media_type: str
    width: int
    height: int


class ProfileResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a merchant appears to its buyers in one mode. ``textColor`` is the color of text on ``color``, and
    ``contrast`` the contrast ratio of the two (WCAG). ``updatedAt`` is null where nothing was ever changed.
    """

    merchant_id: str
    mode: str
    display_name: str | None
    color: str | None
    text_color: str | None
    contrast: float | None
    checkout_page: bool
    support_email: str | None
    support_url: str | None
    logo: LogoResponse | None
    updated_at: str | None


def profile_response(profile: Profile) -> ProfileResponse:
    """Show a profile."""
    color, text_color, logo = profile.color, profile.text_color, profile.logo
    return ProfileResponse(
        merchant_id=profile.merchant_id,
        mode=profile.mode,
        display_name=profile.display_name,
        color=color,
        text_color=text_color,
        contrast=None if color is None or text_color is None else round(contrast(color, text_color), 2),
        checkout_page=profile.checkout_page,
        support_email=profile.support_email,
        support_url=profile.support_url,
        logo=None if logo is None else LogoResponse(logo.path, logo.media_type, logo.width, logo.height),
        updated_at=None if profile.updated_at is None else format_instant(profile.updated_at),
    )
