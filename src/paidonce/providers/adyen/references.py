"""Our references at Adyen, which tell the key of an operation and what the operation is.

A webhook repeats the ``reference`` of the request that it is about as ``merchantReference``, and its signature covers
it. The other fields in which data of ours could be repeated, ``additionalData``, are not signed. So the reference is
our key and a word: ``att_….link-charge``. Payments of the same merchant account that other systems made have no such
reference.
"""

from typing import Final

import msgspec

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification
from paidonce.providers.evidence import OperationKind

CHARGES: Final = frozenset({"charge", "authorize", "link-charge", "link-authorize"})
MODIFICATIONS: Final = frozenset({"capture", "void", "refund"})
AUTHORIZATIONS: Final = frozenset({"authorize", "link-authorize"})
LINKS: Final = frozenset({"link-charge", "link-authorize"})


class Reference(msgspec.Struct, frozen=True):
    """Our key, and the word for what was asked for."""

    key: str
    word: str

    @property
    def kind(self) -> OperationKind:
        """The kind of operation."""
        if self.word == "capture":
            return "capture"
        if self.word == "void":
            return "void"
        return "refund" if self.word == "refund" else "charge"


def reference_of(request: ChargeRequest | Modification) -> str:
    """Write the reference of an operation."""
    if isinstance(request, Modification):
        return f"{request.key}.{request.kind}"
    word = "charge" if request.capture else "authorize"
    return f"{request.key}.{'link-' if request.payment_method == HOSTED_PAGE else ''}{word}"


def read_reference(text: str) -> Reference | None:
    """Read a reference; None where it is not one of ours."""
    key, _, word = text.rpartition(".")
    return Reference(key, word) if key and word in CHARGES | MODIFICATIONS else None
