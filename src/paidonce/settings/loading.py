"""How the settings are read, from the environment and from ``.env``, and what must not contradict."""

import ipaddress
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import inspect

from paidonce.database_url import parse_database_url
from paidonce.encryption import read_keys
from paidonce.errors import InvalidSettings
from paidonce.field_faults import fault_of_parameter
from paidonce.settings.model import PREFIX, Settings, environment_name
from paidonce.signing import read_secret


def load_settings(environment: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Read the settings. Raises InvalidSettings, which names every mistake."""
    values_by_name: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        values_by_name |= {name: value or "" for name, value in dotenv_values(dotenv).items()}
    values_by_name |= environment
    hints = get_type_hints(Settings, include_extras=True)
    names = {environment_name(field.name): field.name for field in msgspec.structs.fields(Settings)}
    described = inspect.type_info(Settings)
    assert isinstance(described, inspect.StructType), "the settings are a struct"
    types = {field.name: field.type for field in described.fields}
    problems = [
        _unknown(name, names) for name in sorted(values_by_name) if name.startswith(PREFIX) and name not in names
    ]
    values = {}
    for name, field in names.items():
        if name in values_by_name and values_by_name[name] != "":
            try:
                values[field] = msgspec.convert(values_by_name[name].strip(), hints[field], strict=False)
            except msgspec.ValidationError as error:
                fault = fault_of_parameter(values_by_name[name].strip(), types[field])
                problems.append(f"{name}={values_by_name[name]}: {f'must be {fault.requirement}' if fault else error}")
    settings = Settings(**values)
    problems += _contradictions(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def _unknown(name: str, names: Mapping[str, str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"{name}: unknown setting{f'; did you mean {near[0]}?' if near else ''}"


def _contradictions(settings: Settings) -> list[str]:
    problems = _wrong_urls(settings)
    if settings.auth == "off" and not is_loopback(settings.host):
        problems.append(
            f"HOST={settings.host}: without authentication the service listens on loopback only "
            "(127.0.0.1, ::1 or localhost); set PAIDONCE_AUTH=keys to turn authentication on"
        )
    problems += [
        f"PAIDONCE_TRUSTED_PROXIES: {place} is neither an address nor a network"
        for place in settings.trusted_proxies.split(",")
        if settings.trusted_proxies and not _is_network(place.strip())
    ]
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems.append("PAIDONCE_TLS_CERTIFICATE and PAIDONCE_TLS_KEY: set both or neither")
    problems += [
        f"{environment_name(name)}={place}: the file does not exist"
        for name, place in (("tls_certificate", settings.tls_certificate), ("tls_key", settings.tls_key))
        if place and not Path(place).is_file()
    ]
    try:
        read_keys(settings.encryption_keys)
    except ValueError as error:
        problems.append(f"PAIDONCE_ENCRYPTION_KEYS: {error}")
    if settings.lease_seconds <= settings.provider_timeout_seconds:
        problems.append(
            f"PAIDONCE_LEASE_SECONDS={settings.lease_seconds:g} must be longer than "
            f"PAIDONCE_PROVIDER_TIMEOUT_SECONDS={settings.provider_timeout_seconds:g}: "
            "otherwise another worker takes over an attempt while the first still waits for the response"
        )
    return problems


def _wrong_urls(settings: Settings) -> list[str]:
    problems = []
    try:
        parse_database_url(settings.database_url)
    except ValueError as error:
        problems.append(f"DATABASE_URL={mask_url(settings.database_url)}: {error}")
    try:
        books = parse_database_url(settings.simulator_database or "file:unused")
    except ValueError as error:
        problems.append(f"PAIDONCE_SIMULATOR_DATABASE={mask_url(settings.simulator_database)}: {error}")
    else:
        if books.dialect != "sqlite":
            problems.append("PAIDONCE_SIMULATOR_DATABASE: the simulator stores its records in SQLite only")
    problems += [
        f"{environment_name(name)}={mask_url(url)}: must be http://host:port or https://host:port"
        for name, url in (
            ("simulator_url", settings.simulator_url),
            *((f"{provider}_url", url) for provider, url in settings.provider_urls.items()),
        )
        if url and not _is_http_url(url)
    ]
    if settings.public_url and not _is_http_url(settings.public_url, with_path=True):
        problems.append(
            f"PAIDONCE_PUBLIC_URL={mask_url(settings.public_url)}: must be an http or https URL without a query"
        )
    if settings.simulator_webhook_secret:
        try:
            read_secret(settings.simulator_webhook_secret)
        except ValueError as error:
            problems.append(f"PAIDONCE_SIMULATOR_WEBHOOK_SECRET: {error}")
    return problems


def _is_network(place: str) -> bool:
    try:
        ipaddress.ip_network(place)
    except ValueError:
        return False
    return True


def _is_http_url(url: str, *, with_path: bool = False) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and (with_path or parts.path in ("", "/"))
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def mask_url(url: str) -> str:
    """Mask everything in a URL that may be a password; of a server's URL only scheme and host are shown."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "sqlite"):
        return f"…@{url.rpartition('@')[2]}" if "@" in url else url
    return f"{scheme}://…{rest.rpartition('@')[2].partition('?')[0]}"


def is_loopback(host: str) -> bool:
    """Tell whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
