"""The requests of the contract, and calls that are the same for every provider."""

import asyncio
import secrets
from collections.abc import Awaitable
from typing import Final, Literal, TypeVar

import msgspec
import pytest

from paidonce.clock import Instant, system_clock
from paidonce.money import Money
from paidonce.providers.base import ChargeRequest, Modification
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    BuyerAction,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.conformance.providers.kits import RETURN_URL, Kit

SESSION_MS: Final = 60 * 60 * 1000
POLL_SECONDS: Final = 0.05
WAIT_SECONDS_MAX: Final = 90.0

T = TypeVar("T")


def required(found: T | None, what: str) -> T:
    """Skip the test where a provider cannot do what it tests."""
    if not found:
        pytest.skip(f"with this provider, {what}")
    return found


def new_key() -> str:
    return f"att_{secrets.token_hex(8)}"


def charge(
    method: str,
    *,
    key: str | None = None,
    amount: int = 1000,
    capture: bool = True,
    lasting_ms: int = SESSION_MS,
) -> ChargeRequest:
    now: Instant = system_clock()
    return ChargeRequest(
        key=key or new_key(),
        money=Money(amount, "USD"),
        payment_method=method,
        capture=capture,
        checkout_id=f"chk_{secrets.token_hex(8)}",
        merchant_id="m1",
        created_at=now,
        return_url=RETURN_URL,
        description="Two tickets",
        expires_at=now + lasting_ms,
    )


def change(kind: Literal["capture", "void", "refund"], reference: str, amount: int) -> Modification:
    return Modification(
        kind=kind,
        key=new_key(),
        money=Money(amount, "USD"),
        charge_reference=reference,
        created_at=system_clock(),
    )


async def ready(kit: Kit, method: str, *, capture: bool = True) -> ChargeRequest:
    """Return a request that ``charge`` can be called with: of a session that was opened, where it needs one."""
    request = charge(kit.method(method), capture=capture)
    if not kit.provider.opens_session(request.payment_method):
        return request
    found = await kit.provider.open(request)
    if kit.pays_after_approval:
        assert isinstance(found, RequiresAction)
        await kit.choose(found.action, method)
    else:
        assert isinstance(found, Opened)
    return with_session(request, found.reference)


def with_session(request: ChargeRequest, reference: str) -> ChargeRequest:
    return msgspec.structs.replace(request, session_reference=reference)


async def shown(kit: Kit, method: str, *, capture: bool = True) -> tuple[ChargeRequest, BuyerAction]:
    """Open a session that waits for a buyer; returns what they are shown, too."""
    request = charge(method, capture=capture)
    found = await kit.provider.open(request)
    assert isinstance(found, RequiresAction)
    return with_session(request, found.reference), found.action


async def charged(kit: Kit, *, method: str | None = None, capture: bool = True) -> str:
    """Charge, or authorize, 10.00; returns the provider's reference."""
    proof = await kit.provider.charge(await ready(kit, method or kit.succeeding, capture=capture))
    assert isinstance(proof, Succeeded if capture else Authorized)
    return proof.reference


def is_refused(evidence: Evidence) -> bool:
    """Whether a first call was refused: the provider says so, or that it did nothing and never will."""
    return isinstance(evidence, Declined) or (isinstance(evidence, NotDone) and not evidence.retryable)


async def heard(kit: Kit, call: Awaitable[Evidence]) -> Evidence:
    """Wait as long as a caller waits."""
    try:
        async with asyncio.timeout(kit.patience_seconds + 1):
            return await call
    except TimeoutError:
        return Unknown("silence")


async def ask(kit: Kit, request: Modification) -> Evidence:
    """Ask for a change of a charge."""
    match request.kind:
        case "capture":
            return await kit.provider.capture(request)
        case "void":
            return await kit.provider.void(request)
        case "refund":
            return await kit.provider.refund(request)


async def outcome(kit: Kit, evidence: Evidence, request: ChargeRequest | Modification) -> Evidence:
    """Wait for the outcome of an operation that was only accepted; any other evidence is returned as it is."""
    return await decided(kit, request) if isinstance(evidence, Accepted) else evidence


async def changed(kit: Kit, request: Modification) -> Evidence:
    """Ask for a change of a charge, and wait for its outcome."""
    return await outcome(kit, await ask(kit, request), request)


async def assert_not_found(kit: Kit, request: ChargeRequest | Modification) -> None:
    """Assert that a provider knows nothing of an operation, where it can be asked."""
    found = await kit.look_up(request)
    can_be_asked = kit.provider.capabilities.charge.can_be_looked_up
    assert found == NotFound() if can_be_asked else isinstance(found, NotFound | Unknown)


async def decided(kit: Kit, request: ChargeRequest | Modification) -> Evidence:
    """Look an operation up until its outcome is known."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while isinstance(found := await kit.look_up(request), Accepted | RequiresAction | Opened):  # noqa: ASYNC110 - the provider tells nobody
            await asyncio.sleep(POLL_SECONDS)
    return found
