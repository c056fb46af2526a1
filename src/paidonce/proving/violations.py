"""The violations that the oracle found, by the guarantee that they break."""

from collections.abc import Iterable
from typing import Final

import msgspec

from paidonce.proving.oracle import Rule, Violation


class Violations(msgspec.Struct, frozen=True, kw_only=True):
    """All violations, by the guarantee that they break. Each entry names a checkout and what is wrong."""

    charged_twice: list[str]
    lost: list[str]
    stuck: list[str]
    wrong: list[str]

    @property
    def count(self) -> int:
        """How many there are in total."""
        return sum(len(getattr(self, name)) for name in self.__struct_fields__)


# All other rules are details of correctness.
GUARANTEES: Final = {
    Rule.ONE_CHARGE: "charged_twice",
    Rule.NOTHING_IS_LOST: "lost",
    Rule.EVERYTHING_ENDS: "stuck",
}


def sort_violations(found: Iterable[Violation]) -> Violations:
    """Group violations by the guarantee that they break."""
    sorted_: dict[str, list[str]] = {name: [] for name in Violations.__struct_fields__}
    for one in found:
        sorted_[GUARANTEES.get(one.rule, "wrong")].append(one.what)
    return Violations(**sorted_)
