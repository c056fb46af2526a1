"""Reads the settings of a command from its options, the environment and ``.env``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from paidonce.settings import Settings

BAD_SETTINGS_EXIT: Final = 2


def read_settings(**options: str | None) -> "Settings":
    """Read the settings, or print every problem and exit with 2. Options override the environment."""
    from paidonce.errors import InvalidSettings
    from paidonce.settings import load_settings

    try:
        given = {name: value for name, value in options.items() if value is not None}
        return load_settings({**os.environ, **given}, Path(".env"))
    except InvalidSettings as error:
        click.echo("paidonce cannot start with these settings:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        raise SystemExit(BAD_SETTINGS_EXIT) from None
