"""The headers of pages. A browser lets a page load from this service only, run no script within the page, and be shown
in no other site's frame.
"""

from collections.abc import Mapping
from typing import Final

# Without form-action, because browsers apply it to the redirect after a form, too, which may lead to a provider.
POLICY: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


def page_headers(**directives: str) -> dict[str, str]:
    """Return the headers of a page; ``directives`` replace those of its policy, as in ``form_action="'self'"``."""
    policy = {**POLICY, **{name.replace("_", "-"): value for name, value in directives.items()}}
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
    }
