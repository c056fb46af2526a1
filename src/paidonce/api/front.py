"""What stands before every call and behind every answer, whatever the call: each path has one spelling, and each answer
bears the headers that protect its reader.

Nothing here knows the router or the server: both functions work on bytes.
"""

import re
from typing import Final

from paidonce.errors import RouteNotFound
from paidonce.web.reply import Answer

# RFC 3986 lets a path part hold these as they are, and anything else percent-encoded in capital digits. What needs no
# escape may not have one: "%6B" is a second spelling of "k". Neither may a part be empty, "." or "..".
ESCAPE: Final = r"%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}"
PATH: Final = re.compile(rf"(?:/(?!\.{{1,2}}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{ESCAPE})++)++".encode())

# The one place where a slash may be part of a value, and then it is escaped.
SLASH: Final = b"%2F"
VALUES_WITH_SLASHES: Final = b"/idempotency-keys/"

# An answer is no page, is never shown inside another site's, and is kept by no cache: many hold what is secret.
PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


def refuse_other_spellings(raw_path: bytes) -> None:
    """Raise RouteNotFound for a path, as it was sent, that is not in its one spelling.

    A proxy's rule for ``/keys`` does not see ``//keys``, ``/%6Beys`` or ``/keys%2F``: none of them may be answered.
    """
    if PATH.fullmatch(raw_path) is None or not _has_its_own_parts(raw_path):
        raise RouteNotFound(
            "There is nothing at this path: each has one spelling, without empty parts, a slash at its end, or "
            "escapes that it does not need."
        )


def _has_its_own_parts(raw_path: bytes) -> bool:
    """Tell whether a slash is between two parts where it stands as itself, and inside a value where it is escaped."""
    if raw_path.startswith(VALUES_WITH_SLASHES):
        return b"/" not in raw_path[len(VALUES_WITH_SLASHES) :]
    return SLASH not in raw_path


def protect(answer: Answer) -> None:
    """Add the headers that every answer bears; one that the answer has of its own stays."""
    present = b"\r\n" + b"".join(answer.headers)
    answer.headers += [b"%b: %b\r\n" % one for one in PROTECTION if b"\r\n%b:" % one[0] not in present]
