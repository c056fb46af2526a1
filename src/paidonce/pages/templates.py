"""Templates: HTML is written by Jinja2, which escapes every value, and fails on a name that is not given."""

import asyncio
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from paidonce.http.context import prefix_in
from paidonce.money import Money
from paidonce.pages.amounts import format_amount
from paidonce.pages.assets import asset_path
from paidonce.pages.headers import page_headers
from paidonce.pages.languages import CODES
from paidonce.pages.times import format_date, format_time
from paidonce.pages.translations import install_translations, load_translations

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED: Final = "paidonce.pages"


class Templates:
    """The templates of a package: those in its folder ``templates``, and those that all pages share."""

    def __init__(self, package: str) -> None:
        self._package = package

    async def load(self) -> None:
        """Load all templates and catalogues, once and in a thread: that takes tenths of a second, in which others are
        answered. Afterwards no page reads a file, so a package may be replaced under a running process. It is done one
        file at a time, so that a process that stops does not wait for it.
        """
        if self._package not in _loaded:
            environment = await asyncio.to_thread(_environment, self._package)
            for name in environment.list_templates():
                await asyncio.to_thread(environment.get_template, name)
            for code in CODES:
                await asyncio.to_thread(_load_language, self._package, code)
            _loaded.add(self._package)

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


_loaded: Final[set[str]] = set()
_making: Final = Lock()


def _load_language(package: str, code: str) -> None:
    """Load the catalogue of a language, and what amounts and times are written with."""
    load_translations(package, code)
    format_amount(Money(1, "USD"), code)
    format_time(0, code)


def _environment(package: str) -> "Environment":
    """Return the environment of a package, of which there is one, whichever thread is the first to ask for it."""
    with _making:
        return _make_environment(package)


@cache
def _make_environment(package: str) -> "Environment":
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
