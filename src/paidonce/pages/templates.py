"""Templates: HTML is written by Jinja2, which escapes every value, and fails on a name that is not given."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from paidonce.http.context import prefix_in
from paidonce.pages.amounts import format_amount
from paidonce.pages.assets import asset_path
from paidonce.pages.headers import page_headers
from paidonce.pages.times import format_date, format_time
from paidonce.pages.translations import install_translations

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED: Final = "paidonce.pages"


class Templates:
    """The templates of a package: those in its folder ``templates``, and those that all pages share."""

    def __init__(self, package: str) -> None:
        self._package = package

    def respond(
        self,
        request: Request,
        name: str,
        values: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Respond with a page. Templates write links as ``{{ prefix }}/path``, so that they hold where the application
        is mounted, and assets as ``{{ asset("name.css") }}``. They write amounts and times in a locale:
        ``{{ money | amount(locale) }}``, ``{{ instant | time(locale, zone) }}``, ``{{ instant | date(locale) }}``.
        """
        return Response(
            self.render(name, {**values, "prefix": prefix_in(request.scope)}),
            status,
            page_headers() | dict(headers or {}),
            "text/html",
        )

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a template, which may be a part of a page. ``values`` must have ``prefix`` where it has links."""
        prefix = values.get("prefix", "")
        return (
            _environment(self._package).get_template(name).render(asset=lambda one: prefix + asset_path(one), **values)
        )


@cache
def _environment(package: str) -> "Environment":
    """Load the templates of a package. Jinja2 is imported here, so that a start does not wait for it."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = dict.fromkeys([package, SHARED])
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.filters |= {"amount": format_amount, "date": format_date, "time": format_time}
    install_translations(environment, package)
    return environment
