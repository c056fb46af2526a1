"""The verdict of a proof: what the oracle found, by the promise that it breaks."""

from collections.abc import Iterable
from typing import Final

import msgspec

from paidonce.proving.oracle import Rule, Violation


class Violations(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must not be, by the promise that it breaks; each entry names a checkout and what is wrong."""

    charged_twice: list[str]
    lost: list[str]
    stuck: list[str]
    wrong: list[str]

    @property
    def count(self) -> int:
        """How many there are in all."""
        return sum(len(getattr(self, name)) for name in self.__struct_fields__)


# All other rules are the details of how one may be wrong.
PROMISES: Final = {
    Rule.ONE_CHARGE: "charged_twice",
    Rule.NOTHING_IS_LOST: "lost",
    Rule.EVERYTHING_ENDS: "stuck",
}


def sort_violations(found: Iterable[Violation]) -> Violations:
    """Put each violation under the promise that it breaks."""
    sorted_: dict[str, list[str]] = {name: [] for name in Violations.__struct_fields__}
    for one in found:
        sorted_[PROMISES.get(one.rule, "wrong")].append(one.what)
    return Violations(**sorted_)
