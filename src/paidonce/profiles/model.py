"""A merchant's profile, in one of its modes, and the rules for what buyers see."""

from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.profiles.colors import text_color_on

DISPLAY_NAME_LENGTH_MAX: Final = 80
# Small, for buyers on slow phones. In base64 and with all other fields it fits into the largest body there may be.
LOGO_BYTES_MAX: Final = 45_000
LOGO_PATH: Final = "/logos"


class Logo(msgspec.Struct, frozen=True):
    """A logo that buyers see. ``digest`` names its bytes, and so its path."""

    digest: str
    media_type: str
    width: int
    height: int

    @property
    def path(self) -> str:
        """Where it is served. The path never leads to other bytes, and tells nothing of the merchant."""
        return f"{LOGO_PATH}/{self.digest}"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile as it is stored. A merchant that has set none has one in which everything is at its default.

    ``version`` counts its changes; 0 where there is no row.
    """

    merchant_id: str
    mode: str
    display_name: str | None = None
    color: str | None = None
    checkout_page: bool = True
    support_email: str | None = None
    support_url: str | None = None
    logo: Logo | None = None
    version: int = 0
    updated_at: Instant | None = None

    @property
    def shown_name(self) -> str:
        """What buyers are told whom they pay: the name, or the merchant's id where there is none."""
        return self.display_name or self.merchant_id

    @property
    def text_color(self) -> str | None:
        """Return the color of text on ``color``: black or white, whichever contrasts more."""
        return None if self.color is None else text_color_on(self.color)
