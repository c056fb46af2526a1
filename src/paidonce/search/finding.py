"""A search, in steps: each is a read of its own, so that others read in between."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from paidonce import ids
from paidonce.checkouts.model import Checkout
from paidonce.database.batcher import Batcher
from paidonce.search.actions import load_named, order_terms, take_steps
from paidonce.search.model import STEPS, Search, SearchPage
from paidonce.search.store import Step


async def find_checkouts(reader: Batcher, wanted: Search) -> SearchPage:
    """Return a page of what a search finds, which has fewer checkouts than asked for where it has examined as many as
    a page may.
    """
    if wanted.text is None:
        return await _examine(reader, wanted, (), [])
    named = await reader.submit(load_named, wanted) or await _find_simulated(reader, wanted)
    if wanted.before is not None:
        named = [one for one in named if one.id < wanted.before]
    terms = await reader.submit(order_terms, wanted)
    if not terms:
        return _page(wanted, named, [], None)
    return await _examine(reader, wanted, terms, named)


async def _examine(reader: Batcher, wanted: Search, terms: tuple[str, ...], named: Sequence[Checkout]) -> SearchPage:
    """Take steps until the page is full, or as many were examined as a page may, or there are no more."""
    found: list[Checkout] = []
    before = wanted.before
    for examined_max in STEPS:
        result = await reader.submit(take_steps, Step(wanted, before, examined_max, terms))
        found.extend(result.found)
        before = result.examined_to
        if before is None or len(found) > wanted.limit:
            break
    return _page(wanted, named, found, before)


def _page(wanted: Search, named: Sequence[Checkout], found: Sequence[Checkout], examined_to: str | None) -> SearchPage:
    """Put what was found by name in its place among the rest; what lies beyond the page is found by a later one."""
    both = sorted({one.id: one for one in (*named, *found)}.values(), key=lambda one: one.id, reverse=True)
    if len(found) <= wanted.limit and examined_to is not None:
        both = [one for one in both if one.id >= examined_to]
    if len(both) > wanted.limit:
        both = both[: wanted.limit]
        return SearchPage(both, both[-1].id)
    return SearchPage(both, examined_to)


async def _find_simulated(reader: Batcher, wanted: Search) -> list[Checkout]:
    """Find the checkout with a charge or a capture of the simulator, whose references have no index.

    Such a reference begins with its time, so the checkouts that were created just before it are examined.
    """
    text = wanted.text or ""
    if not any(re.fullmatch(ids.pattern(prefix), text) for prefix in (ids.CHARGE, ids.CHANGE)):
        return []
    before = ids.lowest_id(ids.CHECKOUT, ids.milliseconds_of(text) + 1)
    step = Step(replace(wanted, reference=text, limit=1), before, STEPS[-1])
    return (await reader.submit(take_steps, step)).found
