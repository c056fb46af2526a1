"""The running parts of the service, which the HTTP layer receives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.routing import BaseRoute

from paidonce.checkouts.page_tokens import PageTokens
from paidonce.checkouts.waiters import SettlementWaiters
from paidonce.clock import Clock
from paidonce.database.batch import Action, Outcome, Request
from paidonce.database.batcher import Batcher
from paidonce.database.engine import Database
from paidonce.encryption import Keyring
from paidonce.errors import PaidonceError
from paidonce.events.feed import Feed
from paidonce.merchants.api_key_cache import ApiKeyCache
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.worker import PaymentWorker
from paidonce.profiles.cache import ProfileCache
from paidonce.provider_accounts.connections import ProviderConnections
from paidonce.provider_webhooks.processor import ProviderWebhookProcessor
from paidonce.settings import Settings
from paidonce.statistics.rollup import Rollup
from paidonce.webhook_endpoints.service import WebhookEndpointService


class Writer(Protocol):
    """Runs actions that commit: the batcher, or what adds something to each of them."""

    @property
    def pid(self) -> int | None:
        """The id of the process that runs the actions; None where it is this process."""

    async def submit(self, action: Action[Request, Outcome | PaidonceError], request: Request) -> Outcome:
        """Run an action; returns its outcome after the commit, and raises what ``Batcher.submit`` raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts that ``app.open_service`` creates. ``reader`` runs read-only actions, ``writer`` those that commit.

    ``provider_pages`` are the routes of pages of providers that run in this process: the simulator's.
    """

    settings: Settings
    database: Database
    writer: Writer
    reader: Batcher
    settlement_waiters: SettlementWaiters
    worker: PaymentWorker
    provider_webhook_processor: ProviderWebhookProcessor
    webhook_endpoints: WebhookEndpointService
    feed: Feed
    rollup: Rollup
    api_key_cache: ApiKeyCache
    encryption: Keyring
    page_tokens: PageTokens
    payment_providers: PaymentProviders
    provider_accounts: ProviderConnections
    profiles: ProfileCache
    provider_pages: Sequence[BaseRoute]
    clock: Clock

    def drain(self) -> None:
        """Answer waiting clients now, because the process is about to stop."""
        self.settlement_waiters.close()
        self.feed.close()
