"""The paths of the dashboard. A merchant's pages have the merchant and the mode in their path."""

from typing import Final
from urllib.parse import quote

PATH: Final = "/dashboard"
TENANT: Final = "/m/{merchant_id}/{mode}"
OPERATOR: Final = "/operator"
ACCOUNT: Final = "/account"
LOGIN: Final = "/login"

# A merchant's id may be any printable text. A slash cannot be part of a path's segment, not even escaped, and neither
# can "." and ".." be one; so they are written as in a JSON pointer.
_ESCAPES: Final = (("~", "~0"), ("/", "~1"))
_DOTS: Final = {".": "~2", "..": "~2~2"}
_PLAIN: Final = "!$&'()*+,;=:@~"


def tenant_path(merchant_id: str, mode: str) -> str:
    """Return the path of a merchant's pages in one mode, without the prefix of the application."""
    text = merchant_id
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return f"{PATH}/m/{quote(_DOTS.get(text, text), safe=_PLAIN)}/{mode}"


def read_merchant_id(segment: str) -> str:
    """Return the merchant that a decoded segment of a path names."""
    text = {escaped: plain for plain, escaped in _DOTS.items()}.get(segment, segment)
    for plain, escaped in reversed(_ESCAPES):
        text = text.replace(escaped, plain)
    return text
