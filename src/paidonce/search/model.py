"""What a search asks for, what it finds, and the terms under which checkouts are found."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

import msgspec

from paidonce.checkouts.model import Checkout
from paidonce.clock import Instant
from paidonce.merchants.model import Tenant

TERMS_MAX: Final = 100  # Of one checkout, so that the largest metadata (25 kB) does not become thousands of rows.
TERM_LENGTH_MAX: Final = 100  # Longer ones are cut, here and in what is searched for.
QUERY_TERMS_MAX: Final = 10
QUERY_LENGTH_MAX: Final = 255  # As long as the longest idempotency key.

# A page of the search examines at most this many checkouts of an index: about 10 ms (docs/decisions/0050).
EXAMINED_MAX: Final = 5000
# A read examines at most this many, so that others read in between. The first is small: most filters are met often.
STEPS: Final = (200, 800, 1000, 1000, 1000, 1000)
assert sum(STEPS) == EXAMINED_MAX

_EDGES: Final = re.compile(r"^[\W_]+|[\W_]+$")
_WORD: Final = re.compile(r"[^\W_]+")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkouts of a merchant and mode are wanted, newest first. What is None is not asked for.

    ``text`` is an id, an idempotency key, a provider's reference, or words. ``provider`` and ``reference`` are those of
    the newest attempt. ``before`` is the id at which the page begins; ``limit`` is how many it may hold.
    """

    tenant: Tenant
    limit: int
    text: str | None = None
    status: str | None = None
    provider: str | None = None
    currency: str | None = None
    amount: int | None = None
    reference: str | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    before: str | None = None


class SearchPage(msgspec.Struct, frozen=True):
    """Checkouts that were found, newest first. ``searched_up_to`` is the id before which the next page begins; None
    where everything was searched.
    """

    checkouts: list[Checkout]
    searched_up_to: str | None


class TermRow(msgspec.Struct, frozen=True, order=True):
    """A term, and a checkout that is found by it."""

    merchant_id: str
    mode: str
    term: str
    checkout_id: str


def query_terms(text: str) -> list[str]:
    """Return the terms that a checkout must have to be found by a text: its pieces, at most ``QUERY_TERMS_MAX``."""
    return list(islice(dict.fromkeys(_pieces(text)), QUERY_TERMS_MAX))


def terms_of_checkout(description: str | None, metadata: str | None) -> list[str]:
    """Return the different terms of a checkout's description and of the values of its metadata, a JSON object.

    They are the pieces between spaces, such as e-mail addresses and order numbers, and then the words in them. Upper
    and lower case are the same, and so are compatible forms of a letter.
    """
    values = msgspec.json.decode(metadata, type=dict[str, str]).values() if metadata else ()
    texts = [*values, description or ""]
    pieces = chain.from_iterable(map(_pieces, texts))
    words = chain.from_iterable(map(_words, texts))
    return list(islice(dict.fromkeys(chain(pieces, words)), TERMS_MAX))


def _pieces(text: str) -> Iterator[str]:
    return _terms(_EDGES.sub("", piece) for piece in _folded(text).split())


def _words(text: str) -> Iterator[str]:
    return _terms(_WORD.findall(_folded(text)))


def _terms(parts: Iterable[str]) -> Iterator[str]:
    return (part[:TERM_LENGTH_MAX] for part in parts if part)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
