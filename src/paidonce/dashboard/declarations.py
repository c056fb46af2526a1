"""Pages and actions of the dashboard, declared once, where their handlers are.

``page`` declares what is shown, ``action`` what a form does. Who may see it, whose data it is about, and that a form
comes from a page of the same session and has an idempotency key, is checked from the declaration before the handler
runs. Whatever an action commits claims this key in the same transaction (``idempotency.py``), so a form that is sent
twice takes effect once. An open action has nobody whose key it could be: it begins a session, whose cookie only its
response has.
A declaration without a role does not exist: what is open to everybody is declared with ``open_page`` and
``open_action``, and says why. ``routes.py`` lists all declarations.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias, TypeVar

from starlette.responses import Response

from paidonce import errors, ids
from paidonce.dashboard import paths
from paidonce.dashboard.forms import Form
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.path_ids import PATH_IDS, PathId
from paidonce.users.model import Role

FormT = TypeVar("FormT", bound=Form)

PageHandler: TypeAlias = Callable[[DashboardRequest], Awaitable[Response]]
ActionHandler: TypeAlias = Callable[[DashboardRequest, FormT], Awaitable[Response]]

_TOKEN: Final = PathId("A one-time token.", "[0-9A-Za-z]{42}", "0" * 42, errors.RouteNotFound)


def _own_id(prefix: str) -> PathId:
    return PathId("An id.", ids.pattern(prefix), f"{prefix}_", errors.RouteNotFound)


# The variable parts of paths, beside the merchant and the mode.
SEGMENTS: Final = {
    **PATH_IDS,
    "user_id": _own_id(ids.USER),
    "session_id": _own_id(ids.USER_SESSION),
    "token": _TOKEN,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """A page or an action. ``path`` is below ``/dashboard``. ``role`` is the least that a person must have.

    ``open_because`` says why it needs no role. ``shows`` is the page that is shown again, with the form and what is
    wrong with it, where an action refuses it. ``leads_to`` is the page that a form leads to which was sent before.
    """

    method: str
    path: str
    handle: Callable[..., Awaitable[Response]]
    role: Role | None
    open_because: str = ""
    form: type[Form] | None = None
    shows: "Declaration | None" = None
    leads_to: "Declaration | None" = None

    def __post_init__(self) -> None:
        """Refuse a declaration that leaves open who may use it: a service that has one does not start."""
        if (self.role is None) != bool(self.open_because):
            raise TypeError(f"{self.method} {self.path}: give either a role or the reason why it is open")
        if self.path.startswith("/m/") and (self.role is None or not self.path.startswith(paths.TENANT)):
            raise TypeError(f"{self.method} {self.path}: a merchant's page has {paths.TENANT} and a role")
        if self.path.startswith(paths.OPERATOR) and self.role is not Role.OPERATOR:
            raise TypeError(f"{self.method} {self.path}: an operator's page has the operator's role")
        if unknown := [name for name in self.variables if name not in SEGMENTS]:
            raise TypeError(f"{self.method} {self.path}: describe {unknown} in SEGMENTS")

    @property
    def is_of_tenant(self) -> bool:
        """Whether it is about a merchant's data in one mode, which its path names."""
        return self.path.startswith(paths.TENANT)

    @property
    def name(self) -> str:
        """The name of its handler, by which templates and the audit log know an action."""
        return self.handle.__name__

    @cached_property
    def variables(self) -> list[str]:
        """The names of the path's variable parts, without the merchant and the mode."""
        rest = self.path.removeprefix(paths.TENANT)
        return [part[1:-1] for part in rest.split("/") if part.startswith("{")]


def page(path: str, *, role: Role) -> Callable[[PageHandler], Declaration]:
    """Declare a page for people with this role, and for those whose role includes it."""
    return lambda handler: Declaration(method="GET", path=path, handle=handler, role=role)


def action(
    path: str,
    *,
    role: Role,
    form: type[FormT],
    shows: Declaration | None = None,
    leads_to: Declaration | None = None,
) -> Callable[[ActionHandler[FormT]], Declaration]:
    """Declare what a form does. The handler is given the form, and ends with ``request.done(…)``.

    Without ``leads_to``, a form that was sent before leads to the page that it ``shows``.
    """
    return lambda handler: Declaration(
        method="POST", path=path, handle=handler, role=role, form=form, shows=shows, leads_to=leads_to or shows
    )


def open_page(path: str, *, because: str) -> Callable[[PageHandler], Declaration]:
    """Declare a page for everybody, which ``because`` justifies."""
    return lambda handler: Declaration(method="GET", path=path, handle=handler, role=None, open_because=because)


def open_action(
    path: str, *, because: str, form: type[FormT], shows: Declaration | None = None
) -> Callable[[ActionHandler[FormT]], Declaration]:
    """Declare what a form of an open page does, which ``because`` justifies."""
    return lambda handler: Declaration(
        method="POST", path=path, handle=handler, role=None, open_because=because, form=form, shows=shows
    )
