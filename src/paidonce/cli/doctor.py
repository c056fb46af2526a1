"""doctor."""

from paidonce.settings import Settings


def examine(settings: Settings, *, as_json: bool) -> None:
    """X"""
