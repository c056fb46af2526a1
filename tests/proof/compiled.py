"""Compiled statements that children find ready: compiling them anew was two thirds of a child's short life."""

from functools import cache
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect

_compiled: dict[Any, Any] = {}


@cache
def share() -> None:
    """Let engines of a kind share what was compiled for one of them. For one process and its children."""
    # Whatever cache an engine makes for itself, it reads this one.
    Engine._compiled_cache = property(lambda _: _compiled, lambda _, __: None)  # type: ignore[assignment] # noqa: SLF001
    # A statement is found by its dialect, which is an object of its own for each engine.
    DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
