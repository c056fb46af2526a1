"""Calls to a provider for an attempt: which call, when to look the attempt up first, and what may be sent again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import msgspec
import structlog

from paidonce.checkouts.model import Checkout
from paidonce.clock import Clock
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.events.model import Cause
from paidonce.money import Money
from paidonce.payments.model import Attempt, AttemptKind, AttemptStatus
from paidonce.providers.base import ChargeRequest, Modification, Provider
from paidonce.providers.evidence import (
    Accepted,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    RequiresReview,
    Unknown,
)

log = structlog.get_logger()

CommitSession: TypeAlias = Callable[[Attempt, str], Awaitable[Attempt | None]]
"""Commits the session that is about to be charged; returns the attempt as it is then, None where the lease is lost."""

LoadCheckout: TypeAlias = Callable[[Attempt], Awaitable[Checkout]]
"""Reads the checkout of an attempt: its description is shown to the buyer."""

FindProvider: TypeAlias = Callable[[Attempt], Awaitable[Provider | None]]
"""Returns the provider of an attempt; None where its account cannot be opened."""


class Called(msgspec.Struct, frozen=True):
    """What a call brought: evidence, its cause, and the attempt as it was committed last."""

    attempt: Attempt
    evidence: Evidence
    cause: Cause


class ProviderCaller:
    """Calls a provider for an attempt, and returns evidence whatever the provider, the network or a connector does."""

    def __init__(
        self,
        find_provider: FindProvider,
        *,
        timeout_seconds: float,
        clock: Clock,
        commit_session: CommitSession,
        load_checkout: LoadCheckout,
    ) -> None:
        self._find_provider = find_provider
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._commit_session = commit_session
        self._load_checkout = load_checkout

    async def call(self, attempt: Attempt) -> Called:
        """Call the provider. Where a worker before this one may have called it, look that call up first."""
        call = _Call(attempt)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                provider = await self._find_provider(attempt)
                evidence = NOT_USABLE if provider is None else await self._call(provider, call)
        except TimeoutError:
            evidence = Unknown(f"no answer within {self._timeout_seconds:g} s")
        except (DatabaseUnavailable, Overloaded) as error:
            evidence = Unknown(f"the database refused a step before the call: {error.code}")
        except Exception:
            # A defect in a connector must neither end the payment nor be taken for an answer.
            log.exception("provider_failed", provider=attempt.provider, attempt_id=attempt.id)
            evidence = Unknown("the connector failed")
        return Called(call.attempt, evidence, call.cause)

    async def _call(self, provider: Provider, call: "_Call") -> Evidence:
        attempt = call.attempt
        if attempt.return_url is not None and attempt.operation == "charge":
            return await self._pay_session(provider, call)
        if not attempt.may_have_been_sent:
            return await self._send(provider, call)
        found = await self._look_up(provider, attempt)
        may_resend = attempt.status != AttemptStatus.ACCEPTED and self._may_resend(provider, attempt)
        return await self._send(provider, call) if isinstance(found, NotFound) and may_resend else found

    async def _pay_session(self, provider: Provider, call: "_Call") -> Evidence:
        """Open the session, charge it where that is our part, or close it; look up first what may have happened.

        A session is paid at most once. So what was sent before is no reason not to charge it, but a reason to ask.
        """
        attempt = call.attempt
        if attempt.session_reference is None:
            if attempt.is_closing(self._clock()):  # No buyer has seen a session: nothing can be paid.
                return Declined("session_expired")
            found = await self._open(provider, call)
        else:
            call.cause = Cause.LOOKUP
            found = await provider.look_up(_charge_request(attempt))
            if isinstance(found, RequiresAction | Opened) and attempt.is_closing(self._clock()):
                return await self._close(provider, call)
        return await self._charge_session(provider, call, found.reference) if isinstance(found, Opened) else found

    async def _open(self, provider: Provider, call: "_Call") -> Evidence:
        if not self._is_leased(call.attempt):
            return LEASE_OVER
        checkout = await self._load_checkout(call.attempt)
        request = msgspec.structs.replace(_charge_request(call.attempt), description=checkout.description)
        return await provider.open(request)

    async def _charge_session(self, provider: Provider, call: "_Call", reference: str) -> Evidence:
        committed = await self._commit_session(call.attempt, reference)
        if committed is None or not self._is_leased(committed):
            return LEASE_OVER
        call.attempt, call.cause = committed, Cause.PROVIDER_ANSWER
        return await provider.charge(_charge_request(committed))

    async def _close(self, provider: Provider, call: "_Call") -> Evidence:
        if not self._is_leased(call.attempt):
            return LEASE_OVER
        call.cause = Cause.PROVIDER_ANSWER
        return await provider.close(_charge_request(call.attempt))

    async def _look_up(self, provider: Provider, attempt: Attempt) -> Evidence:
        if provider.capabilities.of(attempt.operation).can_be_looked_up:
            return await provider.look_up(_request(attempt))
        if attempt.status == AttemptStatus.ACCEPTED:
            return Accepted()  # Only a webhook tells.
        if self._may_resend(provider, attempt):
            return NotFound()  # Sending the same key again asks the same question.
        return RequiresReview("the provider supports neither look-ups nor deduplication by idempotency key")

    async def _send(self, provider: Provider, call: "_Call") -> Evidence:
        attempt = call.attempt
        if not self._is_leased(attempt):
            return LEASE_OVER
        call.cause = Cause.PROVIDER_ANSWER
        request = _request(attempt)
        if isinstance(request, ChargeRequest):
            return await provider.charge(request)
        match request.kind:
            case "capture":
                return await provider.capture(request)
            case "void":
                return await provider.void(request)
            case "refund":
                return await provider.refund(request)

    def _is_leased(self, attempt: Attempt) -> bool:
        return attempt.due_at is not None and self._clock() < attempt.due_at

    def _may_resend(self, provider: Provider, attempt: Attempt) -> bool:
        """Whether sending the key again cannot move money twice: the provider deduplicates and remembers it."""
        age_seconds = (self._clock() - attempt.created_at) / 1000
        remembered_seconds = provider.capabilities.of(attempt.operation).key_lifetime_seconds
        return age_seconds < remembered_seconds - self._timeout_seconds


class _Call:
    """A call in progress: the attempt as it is committed, and the cause of what is known."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.cause = Cause.LOOKUP if attempt.may_have_been_sent else Cause.PROVIDER_ANSWER


LEASE_OVER: Final = Unknown("the lease was over before the call")
NOT_USABLE: Final = NotDone(
    "the credentials of the provider's account cannot be read; nothing was sent", retryable=True
)


def _request(attempt: Attempt) -> ChargeRequest | Modification:
    kind = attempt.operation
    return _charge_request(attempt) if kind == "charge" else _modification(attempt, kind)


def _charge_request(attempt: Attempt) -> ChargeRequest:
    return ChargeRequest(
        key=attempt.provider_key,
        money=Money(attempt.amount, attempt.currency),
        payment_method=attempt.payment_method,
        capture=attempt.kind == AttemptKind.CHARGE,
        checkout_id=attempt.checkout_id,
        merchant_id=attempt.merchant_id,
        created_at=attempt.created_at,
        call_number=attempt.fence,
        session_reference=attempt.session_reference,
        return_url=attempt.return_url,
        expires_at=attempt.session_expires_at,
    )


def _modification(attempt: Attempt, kind: Literal["capture", "void", "refund"]) -> Modification:
    assert attempt.charge_reference is not None, "what changes a charge names it"
    return Modification(
        kind=kind,
        key=attempt.provider_key,
        money=Money(attempt.amount, attempt.currency),
        charge_reference=attempt.charge_reference,
        created_at=attempt.created_at,
        call_number=attempt.fence,
    )
