"""Which part of the proof runs."""

from enum import Enum


class Part(Enum):
    """The quick part runs in ``make test``. The long part, ``make prove``, tests everything."""

    QUICK = "quick"
    LONG = "long"
