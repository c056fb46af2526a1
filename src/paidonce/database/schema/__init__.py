"""The tables, defined once for both databases.

Rules that keep the schema suitable for a distributed PostgreSQL: ``merchant_id`` is in every primary key, unique
constraint and foreign key; ids are created by the service; there are no sequences, triggers or advisory locks. Instants
are BIGINT, Unix time in milliseconds. The CHECKs describe valid final rows, in addition to the tables of states in
Python.
"""

from typing import Final

from paidonce.database.schema.base import Id, metadata
from paidonce.database.schema.checkouts import EXPIRING, checkout
from paidonce.database.schema.events import event, event_log
from paidonce.database.schema.idempotency import idempotency_key
from paidonce.database.schema.merchants import WITHOUT_PAGE, api_key, merchant, merchant_profile
from paidonce.database.schema.payments import (
    ACCEPTED_ONLY,
    AWAITING_PROOF,
    MOVES_ITS_CHECKOUT,
    UNPROVEN,
    attempt,
    dispute,
)
from paidonce.database.schema.provider_accounts import USABLE_ACCOUNT, provider_account
from paidonce.database.schema.provider_webhooks import GIVEN_UP, provider_webhook
from paidonce.database.schema.search import search_term
from paidonce.database.schema.statistics import hourly_statistics, statistics_cursor
from paidonce.database.schema.users import audit_entry, dashboard_session, dashboard_user
from paidonce.database.schema.webhook_endpoints import (
    FAILED,
    FAILING,
    delivery,
    delivery_try,
    redelivery,
    webhook_endpoint,
)

SCHEMA_VERSION: Final = "0017"  # The newest migration. A test compares it with the folder.

__all__ = [
    "ACCEPTED_ONLY",
    "AWAITING_PROOF",
    "EXPIRING",
    "FAILED",
    "FAILING",
    "GIVEN_UP",
    "MOVES_ITS_CHECKOUT",
    "SCHEMA_VERSION",
    "UNPROVEN",
    "USABLE_ACCOUNT",
    "WITHOUT_PAGE",
    "Id",
    "api_key",
    "attempt",
    "audit_entry",
    "checkout",
    "dashboard_session",
    "dashboard_user",
    "delivery",
    "delivery_try",
    "dispute",
    "event",
    "event_log",
    "hourly_statistics",
    "idempotency_key",
    "merchant",
    "merchant_profile",
    "metadata",
    "provider_account",
    "provider_webhook",
    "redelivery",
    "search_term",
    "statistics_cursor",
    "webhook_endpoint",
]
