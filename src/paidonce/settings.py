"""Settings: from the environment, then from ``.env``; docs/reference/settings.md lists them and a test compares."""

import ipaddress
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.encryption import read_keys
from paidonce.errors import InvalidSettings
from paidonce.signing import read_secret

PREFIX: Final = "PAIDONCE_"
UNPREFIXED: Final = ("DATABASE_URL", "HOST", "PORT")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an operator can set; ``environment_name`` tells what each is called in the environment."""

    database_url: Annotated[str, Meta(description="Where the data is: a SQLite file, memory, or PostgreSQL.")] = (
        "file:./dev.db"
    )
    host: Annotated[str, Meta(description="Address to listen on. Loopback only while keys are off.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 3000
    auth: Annotated[
        Literal["keys", "off"],
        Meta(description="`keys`: each call bears a key. `off`: `merchantId` is taken at its word, on loopback only."),
    ] = "off"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"], Meta(description="`auto` is console on a terminal, else json.")
    ] = "auto"
    lease_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="How long a worker owns an attempt before another may take it over.")
    ] = 30.0
    provider_timeout_seconds: Annotated[
        float, Meta(gt=0, le=600, description="How long a provider may take to answer; then the outcome is unknown.")
    ] = 20.0
    provider_concurrency: Annotated[
        int, Meta(ge=1, le=100_000, description="Calls to a provider under way at once, in one process.")
    ] = 5000
    poll_seconds: Annotated[
        float, Meta(gt=0, le=60, description="How often a worker looks for due work that nobody told it of.")
    ] = 0.5
    reconcile_first_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="When an unknown outcome is first asked about; later ones scale with it."),
    ] = 5.0
    provider_webhook_days: Annotated[
        float, Meta(gt=0, le=36500, description="How long a provider's webhook is kept after it was applied, in days.")
    ] = 90.0
    shutdown_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long a stop waits for requests in flight, then for payments, before it gives those back.",
        ),
    ] = 10.0
    queue_limit: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests that may wait for the database; more are refused with 503.")
    ] = 10_000
    batch_limit: Annotated[int, Meta(ge=1, le=1000, description="Requests that commit together at the most.")] = 256
    idempotency_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="How long idempotency keys are kept; those that created checkouts are kept for ever.",
        ),
    ] = 30
    follower_limit: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Streams of events that one process serves; more are refused with 503."),
    ] = 10_000
    header_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long a connection may be idle, and the header of a request take to arrive; then it is "
            "closed. 0: 75 behind trusted proxies, else 20.",
        ),
    ] = 0.0
    body_seconds: Annotated[
        float, Meta(gt=0, le=600, description="How long the body of a request may take to arrive; then 408.")
    ] = 30.0
    connection_limit: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Connections at once; more wait until another ends.")
    ] = 10_000
    rate_limit_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Requests a second with one key, in one process; 0: no limit.")
    ] = 1000.0
    rate_limit_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests with one key that may come together after a pause.")
    ] = 2000
    requests_at_once: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Requests with keys worked on at once, in all; more wait, and keys take turns. 0: no limit.",
        ),
    ] = 32
    streams_per_key: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Streams of events with one key at once; more are refused with 429.")
    ] = 100
    waits_per_key: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests with one key that wait (`Prefer: wait`) at once; more are answered without a wait.",
        ),
    ] = 2000
    unsent_megabytes: Annotated[
        int,
        Meta(
            ge=64,
            le=1_000_000,
            description="Megabytes of answers that are being made or wait for clients to read them, in all; who has "
            "more of them than are left is refused with 429.",
        ),
    ] = 64
    address_limit_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Requests a second from one address, in one process; 0: no limit.")
    ] = 0.0
    address_limit_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests from one address that may come together after a pause.")
    ] = 2000
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses and networks, "
            "with commas between."
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        Meta(description="A file with a certificate and its chain (PEM): the service then speaks TLS. Needs a key."),
    ] = ""
    tls_key: Annotated[str, Meta(description="A file with the private key of the certificate (PEM, PKCS #8).")] = ""
    encryption_keys: Annotated[
        str,
        Meta(
            description="Keys that encrypt the secrets of webhook endpoints, comma-separated: the first encrypts, all "
            "decrypt; empty: those in the file that `paidonce dev` makes beside the database."
        ),
    ] = ""
    webhook_allow_private: Annotated[
        bool, Meta(description="Whether webhooks may go to http URLs, loopback and private networks: for development.")
    ] = False
    webhook_timeout_seconds: Annotated[
        float, Meta(gt=0, le=60, description="How long a webhook's receiver may take, from look-up to the last byte.")
    ] = 15.0
    webhook_retry_first_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="When a failed webhook is first sent again; later ones scale with it.")
    ] = 5.0
    webhook_concurrency: Annotated[
        int, Meta(ge=2, le=100_000, description="Webhooks that are being sent at once, in one process.")
    ] = 512
    simulator_latency_ms: Annotated[
        int, Meta(ge=0, le=600_000, description="How long the simulated provider takes to answer, in milliseconds.")
    ] = 1000
    simulator_database: Annotated[
        str, Meta(description="The simulated provider's own books; empty: a SQLite file beside the database.")
    ] = ""
    simulator_url: Annotated[
        str, Meta(description="Where `paidonce simulator` listens; empty: the simulated provider runs in this process.")
    ] = ""
    simulator_webhook_secret: Annotated[
        str,
        Meta(description="The key of the simulated provider's webhooks (`whsec_…`); empty: none is believed."),
    ] = ""
    simulator_deduplicates: Annotated[
        bool,
        Meta(description="Whether `paidonce simulator` answers a key that comes again as it did before."),
    ] = True
    simulator_key_lifetime_seconds: Annotated[
        int, Meta(ge=1, description="How long `paidonce simulator` remembers a key.")
    ] = 31_536_000

    @property
    def database(self) -> DatabaseUrl:
        """The parsed ``database_url``."""
        return parse_database_url(self.database_url)

    @property
    def header_seconds_or_default(self) -> float:
        """How long a connection may be idle; a proxy keeps its own for a minute, and must be who closes them."""
        return self.header_seconds or (75.0 if self.trusted_proxies else 20.0)

    @property
    def encryption_key_file(self) -> Path | None:
        """Where `paidonce dev` keeps the key that it makes: beside a SQLite file; None for a database in memory."""
        place = self.database
        if place.dialect == "postgresql":
            return Path("paidonce.key")
        return place.path and place.path.with_name(f"{place.path.name}.key")

    @property
    def simulator_books(self) -> DatabaseUrl:
        """Where the simulated provider keeps its books: a SQLite file of its own, never our tables."""
        if self.simulator_database:
            return parse_database_url(self.simulator_database)
        place = self.database
        if place.dialect == "postgresql":
            return DatabaseUrl("sqlite", path=Path("simulator.db"))
        return DatabaseUrl("sqlite", path=place.path and place.path.with_suffix(".simulator.db"))


def environment_name(field: str) -> str:
    """Name the environment variable of a field: ``port`` is PORT, ``lease_seconds`` is PAIDONCE_LEASE_SECONDS."""
    name = field.upper()
    return name if name in UNPREFIXED else PREFIX + name


def load_settings(environment: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Read the settings; raises InvalidSettings, which names everything that is wrong and not only the first."""
    said: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        said |= {name: value or "" for name, value in dotenv_values(dotenv).items()}
    said |= environment
    hints = get_type_hints(Settings, include_extras=True)
    names = {environment_name(field.name): field.name for field in msgspec.structs.fields(Settings)}
    problems = [_unknown(name, names) for name in sorted(said) if name.startswith(PREFIX) and name not in names]
    values = {}
    for name, field in names.items():
        if name in said and said[name] != "":
            try:
                values[field] = msgspec.convert(said[name].strip(), hints[field], strict=False)
            except msgspec.ValidationError as error:
                problems.append(f"{name}={said[name]}: {error}")
    settings = Settings(**values)
    problems += _contradictions(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def _unknown(name: str, names: Mapping[str, str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"{name}: there is no such setting{f'; did you mean {near[0]}?' if near else ''}"


def _contradictions(settings: Settings) -> list[str]:
    problems = _wrong_urls(settings)
    if settings.auth == "off" and not is_loopback(settings.host):
        problems.append(
            f"HOST={settings.host}: without authentication the service listens on loopback only "
            "(127.0.0.1, ::1 or localhost); PAIDONCE_AUTH=keys turns it on"
        )
    problems += [
        f"PAIDONCE_TRUSTED_PROXIES: {place} is no address and no network"
        for place in settings.trusted_proxies.split(",")
        if settings.trusted_proxies and not _is_network(place.strip())
    ]
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems.append("PAIDONCE_TLS_CERTIFICATE and PAIDONCE_TLS_KEY: give both, or neither")
    problems += [
        f"{environment_name(name)}={place}: there is no such file"
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
            "else an attempt is taken over while its worker still waits for the answer"
        )
    return problems


def _wrong_urls(settings: Settings) -> list[str]:
    problems = []
    try:
        parse_database_url(settings.database_url)
    except ValueError as error:
        problems.append(f"DATABASE_URL={_masked(settings.database_url)}: {error}")
    try:
        books = parse_database_url(settings.simulator_database or "file:unused")
    except ValueError as error:
        problems.append(f"PAIDONCE_SIMULATOR_DATABASE={_masked(settings.simulator_database)}: {error}")
    else:
        if books.dialect != "sqlite":
            problems.append("PAIDONCE_SIMULATOR_DATABASE: the simulator keeps its books in SQLite")
    if settings.simulator_url and not _is_http_url(settings.simulator_url):
        problems.append(
            f"PAIDONCE_SIMULATOR_URL={_masked(settings.simulator_url)}: this takes http://host:port or https://host:port"
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


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def _masked(url: str) -> str:
    """Show a URL without anything that may be a password: of a server's only its scheme and host."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "sqlite"):
        return f"…@{url.rpartition('@')[2]}" if "@" in url else url
    return f"{scheme}://…{rest.rpartition('@')[2].partition('?')[0]}"


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
