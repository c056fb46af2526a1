"""The navigation: the pages that a person's role opens, as far as they are declared."""

from collections.abc import Collection
from typing import Final, NamedTuple

from paidonce.dashboard import paths
from paidonce.merchants.model import Tenant
from paidonce.users.model import Person, Role


class Entry(NamedTuple):
    """An entry: its text, the path of its page below that of its group, and the least role that it is shown to."""

    text: str
    path: str
    role: Role = Role.VIEWER


class Link(NamedTuple):
    """A link of the navigation, and whether its page is the one that is shown."""

    text: str
    href: str
    is_current: bool


class Group(NamedTuple):
    """Links under one heading."""

    heading: str
    links: list[Link]


MERCHANT: Final = (
    Entry("Overview", ""),
    Entry("Payments", "/payments"),
    Entry("Needs review", "/review"),
    Entry("Webhooks", "/webhooks"),
    Entry("Events", "/events"),
    Entry("API keys", "/keys", Role.ADMIN),
    Entry("Provider accounts", "/accounts"),
    Entry("Branding", "/branding", Role.ADMIN),
    Entry("Users", "/users", Role.ADMIN),
    Entry("Audit log", "/audit", Role.ADMIN),
)
OPERATOR: Final = (
    Entry("Merchants", "/merchants"),
    Entry("Needs review", "/review"),
    Entry("API keys", "/keys"),
    Entry("Settings", "/settings"),
    Entry("Users", "/users"),
    Entry("Audit log", "/audit"),
)


def navigation_of(
    person: Person | None, tenant: Tenant | None, declared: Collection[str], *, prefix: str, path: str
) -> list[Group]:
    """Return what the navigation shows to a person on a page. ``declared`` has the paths of all pages."""
    if person is None:
        return []
    view = _View(person, declared, prefix, path)
    groups = []
    if tenant is not None:
        base = paths.tenant_path(tenant.merchant_id, tenant.mode)
        groups.append(Group(tenant.merchant_id, view.links(MERCHANT, paths.TENANT, base)))
    if person.is_operator:
        groups.append(Group("Operator", view.links(OPERATOR, paths.OPERATOR, paths.PATH + paths.OPERATOR)))
    return [one for one in groups if one.links]


class _View(NamedTuple):
    """Who looks at which page."""

    person: Person
    declared: Collection[str]
    prefix: str
    path: str

    def links(self, entries: Collection[Entry], template: str, base: str) -> list[Link]:
        """Return the links to pages that are declared, and that the person's role opens."""
        shown = [one for one in entries if template + one.path in self.declared and self.person.role.includes(one.role)]
        matching = [one.path for one in shown if _is_within(self.path, base + one.path, one.path)]
        current = max(matching, key=len, default=None)
        return [Link(one.text, self.prefix + base + one.path, one.path == current) for one in shown]


def _is_within(path: str, page: str, entry: str) -> bool:
    """Tell whether a path is a page or below it. The overview, whose path all others begin with, has none below."""
    return path == page or (bool(entry) and path.startswith(f"{page}/"))
