"""What buyers and shops do in a proof, and how often."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final

from paidonce.proving.kits import Kit


class Behavior(StrEnum):
    """What a buyer does who is sent to a page."""

    APPROVES = "approves"
    APPROVES_LATE = "approves late"
    APPROVES_TWICE = "approves twice at once"
    DECLINES_FIRST = "declines, then approves"
    DECLINES = "declines, and leaves"
    RETURNS_TWICE = "approves, and returns twice"
    NEVER_RETURNS = "approves, and never returns"
    NEVER_PAYS = "never visits the page"
    PAYS_OTHERWISE = "pays with a token instead"
    PAYS_BOTH_WAYS = "approves while a token is charged"
    SHOP_CANCELS = "approves while the shop cancels"
    EXPIRES = "approves while the checkout expires"


WITH_TOKEN: Final = frozenset({Behavior.PAYS_OTHERWISE, Behavior.PAYS_BOTH_WAYS})


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How often something is done, from 0 to 1, where it can be done."""

    # Of all checkouts: those that are canceled while they are being paid, and those that are authorized first. A rare
    # authorization met few of the rare moments.
    cancel: float = 0.04
    hold: float = 0.25
    # Of the authorized ones: those that are canceled, and those that expire. The others are captured by half.
    void: float = 0.25
    lapse: float = 0.15
    # Of the completed ones: those that are refunded in part.
    refund: float = 0.10
    # Of the buyers who are sent to a page: those who behave so. Together they are 1.
    approves: float = 0.22
    approves_late: float = 0.05
    approves_twice: float = 0.05
    declines_first: float = 0.08
    declines: float = 0.05
    returns_twice: float = 0.05
    never_returns: float = 0.11
    never_pays: float = 0.08
    pays_otherwise: float = 0.05
    pays_both_ways: float = 0.08
    shop_cancels: float = 0.09
    expires: float = 0.09

    def of_behaviors(self, behaviors: Sequence[Behavior]) -> list[float]:
        """Return the shares of buyers who behave so."""
        return [getattr(self, one.name.lower()) for one in behaviors]


def behaviors_of(kit: Kit) -> list[Behavior]:
    """Return what buyers of a provider may do on its pages."""
    return [one for one in Behavior if kit.has_pages and (kit.tokens or one not in WITH_TOKEN)]


def read_shares(given: Sequence[str], kit: Kit) -> dict[str, float]:
    """Read shares as they are given, such as ``hold=0.7``; raises ValueError, which says what is wrong."""
    on_pages = {_name(one.name) for one in behaviors_of(kit)}
    names = [
        name
        for one in fields(Shares)
        if (name := _name(one.name)) in on_pages or one.name.upper() not in Behavior.__members__
    ]
    shares = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in names:
            message = f"{kit.title} has no share {name!r}. The shares are {', '.join(names)}."
            raise ValueError(message)
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            message = f"Give {name} as a number from 0 to 1, such as {name}=0.5, instead of {text!r}."
            raise ValueError(message)
        shares[name] = share
    of_held = make_shares(shares, kit)
    if _exceeds_one(of_held.void, of_held.lapse):
        message = f"void ({of_held.void:g}) and lapse ({of_held.lapse:g}) are more than 1 together."
        raise ValueError(message)
    of_pages = [share for name, share in shares.items() if name in on_pages]
    if _exceeds_one(*of_pages):
        message = "What buyers do on pages is more than 1 together."
        raise ValueError(message)
    if on_pages and on_pages <= shares.keys() and not sum(of_pages):
        message = "Buyers must do something on pages: not all of these shares can be 0."
        raise ValueError(message)
    return shares


def make_shares(given: Mapping[str, float], kit: Kit) -> Shares:
    """Return all shares where some are given. What else buyers do on pages fills the rest, in its proportions."""
    changed = {name.replace("-", "_"): share for name, share in given.items()}
    of_pages = [one.name.lower() for one in behaviors_of(kit)]
    others = {name: getattr(Shares(), name) for name in of_pages if name not in changed}
    rest = 1 - sum(changed.get(name, 0) for name in of_pages)
    total = sum(others.values())
    return replace(Shares(), **changed, **{name: share * rest / total for name, share in others.items()})


def _name(of_field: str) -> str:
    return of_field.lower().replace("_", "-")


def _exceeds_one(*shares: float) -> bool:
    return sum(shares) > 1 and not math.isclose(sum(shares), 1)
