"""Which settings there are. A test compares them with docs/reference/settings.md."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from paidonce.database_url import DatabaseUrl, parse_database_url

PREFIX: Final = "PAIDONCE_"
UNPREFIXED: Final = ("DATABASE_URL", "HOST", "PORT")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; ``environment_name`` gives the environment variable of each."""

    database_url: Annotated[str, Meta(description="The database: a SQLite file, SQLite in memory, or PostgreSQL.")] = (
        "file:./dev.db"
    )
    host: Annotated[str, Meta(description="Address to listen on. Only loopback is allowed while API keys are off.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 selects a free port.")] = 3000
    public_url: Annotated[
        str,
        Meta(
            description="URL at which buyers reach this service, such as `https://pay.example.com`: checkouts' pages "
            "are there, and providers send buyers back to it. If empty, it is taken from the Host header of each "
            "request."
        ),
    ] = ""
    checkout_page: Annotated[
        Literal["on", "off"],
        Meta(
            description="Whether each checkout has a page on which a buyer can pay, whose URL is the checkout's `url`."
        ),
    ] = "on"
    auth: Annotated[
        Literal["keys", "off"],
        Meta(
            description="`keys`: every call needs an API key. `off`: `merchantId` is not verified, and only loopback "
            "is allowed."
        ),
    ] = "off"
    dashboard: Annotated[
        Literal["on", "off"],
        Meta(description="Whether the dashboard is served, at `/dashboard`. `off` removes all of its paths."),
    ] = "on"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The lowest level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="The format of log lines. `auto` means `console` on a terminal and `json` otherwise."),
    ] = "auto"
    lease_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long a worker's lease on an attempt lasts before another worker may take over.",
        ),
    ] = 30.0
    provider_timeout_seconds: Annotated[
        float, Meta(gt=0, le=600, description="Time-out of a call to a provider; after it the outcome is unknown.")
    ] = 20.0
    provider_concurrency: Annotated[
        int, Meta(ge=1, le=100_000, description="Maximum number of concurrent calls to a provider, in one process.")
    ] = 5000
    poll_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="How often a worker polls the database for due work that no notification announced.",
        ),
    ] = 0.5
    reconcile_first_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Delay before the first look-up of an unknown outcome; later delays scale with it.",
        ),
    ] = 5.0
    provider_webhook_days: Annotated[
        float, Meta(gt=0, le=36500, description="How many days a provider's webhook is kept after it was applied.")
    ] = 90.0
    event_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36500,
            description="How many days events are kept, with their webhook deliveries. 0 means for ever.",
        ),
    ] = 0.0
    delivery_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36500,
            description="How many days the webhook deliveries of an event are kept. 0 means as long as the event.",
        ),
    ] = 0.0
    audit_days: Annotated[
        float,
        Meta(ge=0, le=36500, description="How many days entries of the audit log are kept. 0 means for ever."),
    ] = 0.0
    shutdown_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long a shutdown waits for requests in flight, and then for payments, before it releases "
            "their leases.",
        ),
    ] = 10.0
    queue_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of requests that wait for the database; further ones are refused with 503.",
        ),
    ] = 10_000
    batch_limit: Annotated[int, Meta(ge=1, le=1000, description="Maximum number of requests in one transaction.")] = 256
    idempotency_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="How many days idempotency keys are kept. Keys that created checkouts are kept for ever.",
        ),
    ] = 30
    follower_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of event streams in one process; further ones are refused with 503.",
        ),
    ] = 10_000
    header_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="Time-out for the header of a request and for an idle connection; after it the connection is "
            "closed. 0 means 75 behind trusted proxies and 20 otherwise.",
        ),
    ] = 0.0
    body_seconds: Annotated[
        float, Meta(gt=0, le=600, description="Time-out for the body of a request; after it the response is 408.")
    ] = 30.0
    connection_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of open connections; further ones wait until another one closes.",
        ),
    ] = 10_000
    rate_limit_per_second: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Rate limit of each API key, in requests per second and process; 0 means no limit.",
        ),
    ] = 1000.0
    rate_limit_burst: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Burst of the rate limit of each API key: how many requests may come at once after a pause.",
        ),
    ] = 2000
    requests_at_once: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Maximum number of concurrent requests of all API keys together. Further ones wait, and the "
            "keys take turns. 0 means no limit.",
        ),
    ] = 32
    streams_per_key: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of concurrent event streams of each API key; further ones are refused with "
            "429.",
        ),
    ] = 100
    waits_per_key: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Maximum number of concurrent long-polling requests (`Prefer: wait`) of each API key; further"
            " ones are answered at once.",
        ),
    ] = 2000
    unsent_megabytes: Annotated[
        int,
        Meta(
            ge=64,
            le=1_000_000,
            description="Memory for responses that clients have not read yet, in megabytes, for all clients together."
            " A client that uses more than what is left is refused with 429.",
        ),
    ] = 64
    address_limit_per_second: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Rate limit of each client address, in requests per second and process; 0 means no limit.",
        ),
    ] = 0.0
    address_limit_burst: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Burst of the rate limit of each client address: how many requests may come at once after a "
            "pause.",
        ),
    ] = 2000
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted: addresses and "
            "networks, separated by commas."
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        Meta(
            description="File with a certificate and its chain (PEM). With it the service uses TLS; it needs "
            "PAIDONCE_TLS_KEY too."
        ),
    ] = ""
    tls_key: Annotated[str, Meta(description="File with the private key of the certificate (PEM, PKCS #8).")] = ""
    encryption_keys: Annotated[
        str,
        Meta(
            description="Keys that encrypt stored secrets, separated by commas. The first encrypts, and all decrypt. "
            "If empty, the key file that `paidonce dev` creates beside the database is used."
        ),
    ] = ""
    webhook_allow_private: Annotated[
        bool, Meta(description="Whether webhooks may go to http URLs, loopback and private networks; for development.")
    ] = False
    webhook_timeout_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="Time-out of one webhook delivery, from the DNS look-up to the last byte of the response.",
        ),
    ] = 15.0
    webhook_retry_first_seconds: Annotated[
        float,
        Meta(
            gt=0, le=3600, description="Delay before the first retry of a failed webhook; later delays scale with it."
        ),
    ] = 5.0
    webhook_concurrency: Annotated[
        int, Meta(ge=2, le=100_000, description="Maximum number of webhooks that are sent at once, in one process.")
    ] = 512
    adyen_url: Annotated[
        str, Meta(description="URL of Adyen's Checkout API, for tests; if empty, Adyen's own host.")
    ] = ""
    mollie_url: Annotated[str, Meta(description="URL of Mollie's API, for tests; if empty, Mollie's own host.")] = ""
    paypal_url: Annotated[str, Meta(description="URL of PayPal's API, for tests; if empty, PayPal's own host.")] = ""
    stripe_url: Annotated[str, Meta(description="URL of Stripe's API, for tests; if empty, Stripe's own host.")] = ""
    simulator_latency_ms: Annotated[
        int, Meta(ge=0, le=600_000, description="Latency of the simulated provider, in milliseconds.")
    ] = 1000
    simulator_database: Annotated[
        str,
        Meta(
            description="SQLite file with the records of the simulated provider; if empty, a file beside the database."
        ),
    ] = ""
    simulator_url: Annotated[
        str,
        Meta(
            description="URL of a running `paidonce simulator`; if empty, the simulated provider runs in this process."
        ),
    ] = ""
    simulator_webhook_secret: Annotated[
        str,
        Meta(description="Secret of the simulated provider's webhooks (`whsec_…`); if empty, none is accepted."),
    ] = ""
    simulator_deduplicates: Annotated[
        bool,
        Meta(description="Whether `paidonce simulator` deduplicates calls by idempotency key."),
    ] = True
    simulator_key_lifetime_seconds: Annotated[
        int, Meta(ge=1, description="How long `paidonce simulator` remembers an idempotency key, in seconds.")
    ] = 31_536_000

    @property
    def database(self) -> DatabaseUrl:
        """The parsed ``database_url``."""
        return parse_database_url(self.database_url)

    @property
    def header_seconds_or_default(self) -> float:
        """The time-out of idle connections. A proxy keeps its own for a minute and must close them first."""
        return self.header_seconds or (75.0 if self.trusted_proxies else 20.0)

    @property
    def idempotency_retention_ms(self) -> int:
        """How long the result of a request with an idempotency key is kept."""
        return self.idempotency_days * 86_400_000

    @property
    def encryption_key_file(self) -> Path | None:
        """The key file that `paidonce dev` creates, beside a SQLite file; None for a database in memory."""
        place = self.database
        if place.dialect == "postgresql":
            return Path("paidonce.key")
        return place.path and place.path.with_name(f"{place.path.name}.key")

    @property
    def provider_urls(self) -> dict[str, str]:
        """The URL of each provider that merchants have accounts with; empty for the provider's own host."""
        return {
            "adyen": self.adyen_url,
            "mollie": self.mollie_url,
            "paypal": self.paypal_url,
            "stripe": self.stripe_url,
        }

    @property
    def simulator_books(self) -> DatabaseUrl:
        """The SQLite file with the simulated provider's records; they are never in our tables."""
        if self.simulator_database:
            return parse_database_url(self.simulator_database)
        place = self.database
        if place.dialect == "postgresql":
            return DatabaseUrl("sqlite", path=Path("simulator.db"))
        return DatabaseUrl("sqlite", path=place.path and place.path.with_suffix(".simulator.db"))


def environment_name(field: str) -> str:
    """Return the environment variable of a field: PORT for ``port``, PAIDONCE_LEASE_SECONDS for ``lease_seconds``."""
    name = field.upper()
    return name if name in UNPREFIXED else PREFIX + name
