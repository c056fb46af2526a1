"""Which part of the proof runs."""

from enum import Enum


class Part(Enum):
    """The quick part belongs to ``make test``; the long one, which tries everything, is ``make prove``."""

    QUICK = "quick"
    LONG = "long"
