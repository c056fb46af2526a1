"""Translations of templates, from the ``.po`` files of the package that has the templates. No compiled files are kept:
a file is read in about a millisecond, with the templates, and stays in memory.
"""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING

from paidonce.pages.languages import ENGLISH

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context


def install_translations(environment: "Environment", package: str) -> None:
    """Let the templates of a package translate their messages into the language of their value ``locale``. Without such
    a value, or without a catalogue of that language, they are in English, in which they are written.
    """
    from jinja2 import pass_context

    def translations_in(context: "Context") -> NullTranslations:
        locale: str = context.get("locale", ENGLISH.locale)
        return load_translations(package, locale.partition("_")[0])

    @pass_context
    def gettext(context: "Context", message: str) -> str:
        return translations_in(context).gettext(message)

    @pass_context
    def ngettext(context: "Context", singular: str, plural: str, count: int) -> str:
        return translations_in(context).ngettext(singular, plural, count)

    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined] # the extension's


@cache
def load_translations(package: str, code: str) -> NullTranslations:
    """Load the catalogue of a package for a language, such as ``de``; one without messages where there is none."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    source = files(package).joinpath("locale", code, "LC_MESSAGES", "messages.po")
    if not source.is_file():
        return NullTranslations()
    compiled = BytesIO()
    with source.open("rb") as opened:
        write_mo(compiled, read_po(opened, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)
