"""The tenant of a request: the fields that name a merchant and a mode, in bodies and in parameters of lists."""

from typing import Annotated, Literal

from msgspec import Meta

from paidonce.http.fields import Fields
from paidonce.http.formats import MerchantId

ModeName = Annotated[
    Literal["test", "live"],
    Meta(
        description="A merchant's API key has its own mode and can leave this out. Without such a key, `test` is the "
        "default for what is created and for the events of a merchant; lists of other things hold both."
    ),
]


class TenantFields(Fields, frozen=True, kw_only=True):
    """Names a merchant and one of its modes. Both can be left out by a caller with a merchant's API key."""

    merchant_id: MerchantId | None = None
    mode: ModeName | None = None
