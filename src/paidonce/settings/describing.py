"""The settings as they are in force, for people: without secrets, and with where each comes from."""

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from paidonce.settings.loading import mask_url
from paidonce.settings.model import Settings, environment_name

SECRETS: Final = frozenset({"encryption_keys", "simulator_webhook_secret"})
REDACTED: Final = "set, and not shown"
NOT_SET: Final = "not set"


class ShownSetting(NamedTuple):
    """A setting: its name in the environment, its value, where that comes from, and what it does."""

    name: str
    value: str
    source: str
    description: str


def describe_settings(settings: Settings, environment: Mapping[str, str]) -> list[ShownSetting]:
    """Describe every setting in the order in which they are declared."""
    hints = get_type_hints(Settings, include_extras=True)
    shown = []
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        name = environment_name(field.name)
        if environment.get(name):
            source = "environment"
        else:
            source = "default" if value == field.default else ".env or the command"
        shown.append(ShownSetting(name, _show(field.name, value), source, _description(hints[field.name])))
    return shown


def _show(field: str, value: object) -> str:
    if value == "":
        return NOT_SET
    if field in SECRETS:
        return REDACTED
    if isinstance(value, bool):
        return str(value).lower()
    return mask_url(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _description(hint: object) -> str:
    assert get_origin(hint) is Annotated, "every setting says what it does"
    return str(get_args(hint)[1].description).replace("`", "")
