"""A page of a list of checkouts, in steps: each is a read of its own, so that others read in between."""

from msgspec.structs import replace

from paidonce.checkouts.actions import examine_checkouts
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.model import Checkout
from paidonce.database.batcher import Batcher
from paidonce.database.paging import page_of


async def list_checkouts(reader: Batcher, wanted: CheckoutFilter) -> tuple[list[Checkout], bool]:
    """Return a page of checkouts, newest first, and whether there is a next page. It is full unless nothing is left."""
    found: list[Checkout] = []
    following = wanted
    while True:
        examined = await reader.submit(examine_checkouts, following)
        found.extend(examined.found)
        if examined.examined_to is None or len(found) > wanted.limit:
            break
        position = "ending_before" if wanted.reads_backwards else "starting_after"
        following = replace(wanted, **{position: examined.examined_to})
    return page_of(found, limit=wanted.limit, is_reversed=wanted.reads_backwards)
