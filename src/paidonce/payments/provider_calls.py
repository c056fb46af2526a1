"""Calls to a provider for an attempt: which call, when to look the attempt up first, and what may be sent again."""

import asyncio
from collections.abc import Mapping

import structlog

from paidonce.clock import Clock
from paidonce.events.model import Cause
from paidonce.money import Money
from paidonce.payments.model import Attempt, AttemptKind
from paidonce.providers.base import ChargeRequest, Evidence, Modification, NotFound, Provider, RequiresReview, Unknown

log = structlog.get_logger()


class ProviderCaller:
    """Calls a provider for an attempt, and returns evidence whatever the provider, the network or a connector does."""

    def __init__(self, providers: Mapping[str, Provider], *, timeout_seconds: float, clock: Clock) -> None:
        self._providers = providers
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    async def call(self, attempt: Attempt) -> tuple[Evidence, Cause]:
        """Call the provider. Where a worker before this one may have called it, look that call up first."""
        provider = self._providers[attempt.provider]
        cause = Cause.LOOKUP if attempt.may_have_been_sent else Cause.PROVIDER_ANSWER
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if not attempt.may_have_been_sent:
                    return await self._send(provider, attempt), cause
                found = await self._look_up(provider, attempt)
                if isinstance(found, NotFound) and self._may_resend(provider, attempt):
                    return await self._send(provider, attempt), Cause.PROVIDER_ANSWER
                return found, cause
        except TimeoutError:
            return Unknown(f"no answer within {self._timeout_seconds:g} s"), cause
        except Exception:
            # A defect in a connector must neither end the payment nor be taken for an answer.
            log.exception("provider_failed", provider=attempt.provider, attempt_id=attempt.id)
            return Unknown("the connector failed"), cause

    async def _look_up(self, provider: Provider, attempt: Attempt) -> Evidence:
        if provider.capabilities.can_be_asked_by_key:
            return await provider.look_up(attempt.provider_key)
        if self._may_resend(provider, attempt):
            return NotFound()  # Sending the same key again asks the same question.
        return RequiresReview("the provider supports neither look-ups nor deduplication by idempotency key")

    async def _send(self, provider: Provider, attempt: Attempt) -> Evidence:
        if attempt.due_at is None or self._clock() >= attempt.due_at:
            return Unknown("the lease was over before the call")
        kind = AttemptKind(attempt.kind)
        if kind is AttemptKind.CHARGE or kind is AttemptKind.AUTHORIZE:
            return await provider.charge(
                ChargeRequest(
                    key=attempt.provider_key,
                    money=Money(attempt.amount, attempt.currency),
                    payment_method=attempt.payment_method,
                    capture=kind is AttemptKind.CHARGE,
                    checkout_id=attempt.checkout_id,
                    merchant_id=attempt.merchant_id,
                )
            )
        assert attempt.charge_reference is not None, "what changes a charge names it"
        request = Modification(
            key=attempt.provider_key,
            money=Money(attempt.amount, attempt.currency),
            charge_reference=attempt.charge_reference,
        )
        match kind:
            case AttemptKind.CAPTURE:
                return await provider.capture(request)
            case AttemptKind.VOID:
                return await provider.void(request)
            case AttemptKind.REFUND | AttemptKind.REVERSAL:
                return await provider.refund(request)

    def _may_resend(self, provider: Provider, attempt: Attempt) -> bool:
        """Whether sending the key again cannot move money twice: the provider deduplicates and remembers it."""
        age_seconds = (self._clock() - attempt.created_at) / 1000
        remembered = provider.capabilities.key_lifetime_seconds - self._timeout_seconds
        return provider.capabilities.deduplicates_by_key and age_seconds < remembered
