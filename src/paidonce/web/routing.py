"""Routes: which function answers which call."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from paidonce.errors import MethodNotAllowed, RouteNotFound
from paidonce.web.reply import Answer

Handler: TypeAlias = Callable[..., Awaitable[Answer]]
"""Is given the request, what the application hands to all, and the path's variable parts in their order."""


class Route(NamedTuple):
    """A call: its path's variable parts are in braces; ``operation`` is what it says of itself.

    With ``rest`` the last part of the path takes all that follows, slashes too.
    """

    method: str
    path: str
    handler: Handler
    operation: Any = None
    rest: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the path's variable parts, in their order."""
        return _names_in(self.path)


@cache
def _names_in(path: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


_VARIABLE: Final = object()
_REST: Final = object()
_METHODS: Final = object()


class Router:
    """Finds a route, part by part of the path: a part that is written out goes before a variable one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root: dict[object, Any] = {}
        # Where every part is written out there is nothing to look for.
        self._written_out: dict[tuple[str, str], tuple[Route, Sequence[str]]] = {
            (route.method, route.path): (route, ()) for route in routes if not route.names
        }
        for route in routes:
            node = self._root
            for part in _parts(route.path):
                node = node.setdefault(_VARIABLE if part.startswith("{") else part, {})
            if route.rest:
                node[_REST] = True
            node.setdefault(_METHODS, {})[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, Sequence[str]]:
        """Return the route and the values of its path's variable parts; raises RouteNotFound or MethodNotAllowed."""
        found = self._written_out.get((method, path))
        if found is not None:
            return found
        methods, values = self._walk(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(method, self.allowed_methods(path))
        return route, values

    def allowed_methods(self, path: str) -> list[str]:
        """Name the methods that a path has, HEAD wherever it has GET; raises RouteNotFound."""
        methods, _ = self._walk(path)
        return sorted([*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])])

    def _walk(self, path: str) -> tuple[dict[str, Route], list[str]]:
        node = self._root
        values: list[str] = []
        for part in _parts(path):
            if _REST in node:
                values[-1] += f"/{part}"
                continue
            child = node.get(part)
            if child is None:
                child = node.get(_VARIABLE)
                values.append(part)
            if child is None:
                raise RouteNotFound("There is nothing at this path.")
            node = child
        methods: dict[str, Route] | None = node.get(_METHODS)
        if methods is None:
            raise RouteNotFound("There is nothing at this path.")
        return methods, values


def _parts(path: str) -> list[str]:
    return path.removeprefix("/").split("/")
