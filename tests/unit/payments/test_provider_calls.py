"""What a provider is asked about an attempt: never anything that could move money twice."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import pytest
from structlog.testing import capture_logs

from paidonce.errors import Overloaded
from paidonce.events.model import Cause
from paidonce.money import Money
from paidonce.payments.model import Attempt, AttemptKind
from paidonce.payments.provider_calls import ProviderCaller
from paidonce.payments.providers import PaymentProviders
from paidonce.providers.base import HOSTED_PAGE, Capabilities, ChargeRequest, Modification, OperationSupport, Provider
from paidonce.providers.evidence import Accepted, Evidence, NotFound, RequiresReview, Succeeded, Unknown

NOW: Final = 1_700_000_000_000
TIMEOUT_SECONDS: Final = 20.0
KEY_LIFETIME_SECONDS: Final = 3600


def capabilities(*, key_lifetime_seconds: int, can_be_looked_up: bool) -> Capabilities:
    support = OperationSupport(key_lifetime_seconds=key_lifetime_seconds, can_be_looked_up=can_be_looked_up)
    return Capabilities(
        charge=support,
        capture=support,
        void=support,
        refund=support,
        manual_capture=True,
        partial_refund=True,
        webhooks=False,
    )


ABLE: Final = capabilities(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=True)
DEDUPLICATES_NOT: Final = capabilities(key_lifetime_seconds=0, can_be_looked_up=True)
CANNOT_BE_ASKED: Final = capabilities(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=False)
BOOKED: Final = Succeeded("ch_9")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class RecordingProvider:
    """Keeps what it is asked. ``found`` is what a look-up finds; ``on_look_up`` runs while it does."""

    name: Final = "simulator"

    def __init__(self, capabilities: Capabilities = ABLE) -> None:
        self.capabilities: Final = capabilities
        self.calls: list[tuple[str, Any]] = []
        self.found: Evidence = NotFound()
        self.on_look_up: Callable[[], None] = lambda: None

    def opens_session(self, payment_method: str) -> bool:
        return payment_method == HOSTED_PAGE

    async def open(self, request: ChargeRequest) -> Evidence:
        return self._booked("open", request)

    async def close(self, request: ChargeRequest) -> Evidence:
        return self._booked("close", request)

    async def charge(self, request: ChargeRequest) -> Evidence:
        return self._booked("charge", request)

    async def capture(self, request: Modification) -> Evidence:
        return self._booked("capture", request)

    async def void(self, request: Modification) -> Evidence:
        return self._booked("void", request)

    async def refund(self, request: Modification) -> Evidence:
        return self._booked("refund", request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        self.calls.append(("look_up", request))
        self.on_look_up()
        return self.found

    async def check(self) -> list[str]:
        return []

    async def disconnect(self) -> None:
        pass

    async def read_webhook(self, *_: object) -> None:
        pass

    def _booked(self, call: str, request: object) -> Evidence:
        self.calls.append((call, request))
        return BOOKED


ATTEMPT: Final = Attempt(
    id="att_1",
    merchant_id="m",
    mode="test",
    checkout_id="chk_1",
    kind=AttemptKind.CHARGE,
    status="SENT",
    provider="simulator",
    provider_key="key_1",
    payment_method="tok",
    amount=1000,
    currency="USD",
    due_at=NOW + 30_000,
    fence=1,
    lookup_count=0,
    provider_reference=None,
    decline_code=None,
    charge_reference=None,
    reason=None,
    created_at=NOW,
    updated_at=NOW,
    settled_at=None,
)
TAKEN_OVER: Final = msgspec.structs.replace(ATTEMPT, fence=2)


async def ask(
    provider: RecordingProvider, attempt: Attempt, clock: Clock | None = None, *, timeout_seconds: float = 20.0
) -> tuple[Evidence, Cause]:
    called = await caller_of({"simulator": provider}, clock, timeout_seconds=timeout_seconds).call(attempt)
    return called.evidence, called.cause


def caller_of(
    providers: Mapping[str, Provider], clock: Clock | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> ProviderCaller:
    async def not_needed(*_: object) -> None:
        raise AssertionError("nothing of a session is needed here")

    return ProviderCaller(
        PaymentProviders(providers).find,
        timeout_seconds=timeout_seconds,
        clock=clock or Clock(),
        commit_session=not_needed,
        load_checkout=not_needed,  # type: ignore[arg-type] # It returns never.
    )


async def test_a_new_attempt_is_sent_and_not_asked_about() -> None:
    provider = RecordingProvider()
    assert await ask(provider, ATTEMPT) == (BOOKED, Cause.PROVIDER_ANSWER)
    request = ChargeRequest(
        key="key_1",
        money=Money(1000, "USD"),
        payment_method="tok",
        capture=True,
        checkout_id="chk_1",
        merchant_id="m",
        created_at=NOW,
    )
    assert provider.calls == [("charge", request)]


async def test_an_authorization_is_a_charge_that_is_not_captured() -> None:
    provider = RecordingProvider()
    await ask(provider, msgspec.structs.replace(ATTEMPT, kind=AttemptKind.AUTHORIZE))
    ((call, request),) = provider.calls
    assert (call, request.capture) == ("charge", False)


@pytest.mark.parametrize(
    ("kind", "call"), [("CAPTURE", "capture"), ("VOID", "void"), ("REFUND", "refund"), ("REVERSAL", "refund")]
)
async def test_what_changes_a_charge_names_it(kind: str, call: Literal["capture", "void", "refund"]) -> None:
    provider = RecordingProvider()
    changing = msgspec.structs.replace(ATTEMPT, kind=kind, charge_reference="ch_7", amount=600)
    assert await ask(provider, changing) == (BOOKED, Cause.PROVIDER_ANSWER)
    ((called, request),) = provider.calls
    assert (called, request) == (
        call,
        Modification(kind=call, key="key_1", money=Money(600, "USD"), charge_reference="ch_7", created_at=NOW),
    )


async def test_the_reversal_of_an_authorization_voids_it() -> None:
    provider = RecordingProvider()
    reversing = msgspec.structs.replace(ATTEMPT, kind="REVERSAL", charge_reference="ch_7", reverses="authorization")
    await ask(provider, reversing)
    ((called, request),) = provider.calls
    assert (called, request.kind, request.charge_reference) == ("void", "void", "ch_7")


async def test_each_call_that_changes_a_charge_has_another_number_and_the_same_key() -> None:
    provider = RecordingProvider()
    changing = msgspec.structs.replace(TAKEN_OVER, kind="CAPTURE", charge_reference="ch_7")
    await ask(provider, changing)
    await ask(provider, msgspec.structs.replace(changing, fence=changing.fence + 1))
    sent = [(request.call_number, request.key) for call, request in provider.calls if call == "capture"]
    assert sent == [(changing.fence, "key_1"), (changing.fence + 1, "key_1")]


async def test_an_attempt_that_was_taken_over_is_asked_about_and_what_is_found_is_what_counts() -> None:
    provider = RecordingProvider()
    provider.found = Succeeded("ch_8")
    assert await ask(provider, TAKEN_OVER) == (Succeeded("ch_8"), Cause.LOOKUP)
    assert [(call, request.key) for call, request in provider.calls] == [("look_up", "key_1")]


@pytest.mark.parametrize("found", [Unknown("a 500"), RequiresReview("a dispute")])
async def test_what_a_look_up_does_not_find_out_is_not_sent_again(found: Evidence) -> None:
    provider = RecordingProvider()
    provider.found = found
    assert await ask(provider, TAKEN_OVER) == (found, Cause.LOOKUP)
    assert [(call, request.key) for call, request in provider.calls] == [("look_up", "key_1")]


async def test_what_the_provider_knows_nothing_of_is_sent_again_with_the_same_key() -> None:
    provider = RecordingProvider()
    assert await ask(provider, TAKEN_OVER) == (BOOKED, Cause.PROVIDER_ANSWER)
    assert [(call, request.key) for call, request in provider.calls] == ([("look_up", "key_1"), ("charge", "key_1")])


async def test_where_keys_do_not_deduplicate_nothing_is_sent_again() -> None:
    provider = RecordingProvider(DEDUPLICATES_NOT)
    assert await ask(provider, TAKEN_OVER) == (NotFound(), Cause.LOOKUP)
    assert [(call, request.key) for call, request in provider.calls] == [("look_up", "key_1")]


@pytest.mark.parametrize(
    ("left_ms", "sent"), [(1, True), (0, False), (-1, False), (-19_999, False), (-20_000, False), (-20_001, False)]
)
async def test_within_one_time_out_of_the_end_of_the_key_s_lifetime_nothing_is_sent_again(
    left_ms: int, *, sent: bool
) -> None:
    clock = Clock()
    # A call that begins now may be booked as late as one time-out from now: by then the key must still be remembered.
    clock.now = NOW + round((KEY_LIFETIME_SECONDS - TIMEOUT_SECONDS) * 1000) - left_ms
    attempt = msgspec.structs.replace(TAKEN_OVER, due_at=clock.now + 30_000)
    provider = RecordingProvider()
    evidence, cause = await ask(provider, attempt, clock, timeout_seconds=TIMEOUT_SECONDS)
    assert [call for call, _ in provider.calls] == (["look_up", "charge"] if sent else ["look_up"])
    assert (evidence, cause) == ((BOOKED, Cause.PROVIDER_ANSWER) if sent else (NotFound(), Cause.LOOKUP))


@pytest.mark.parametrize(("late_ms", "sent"), [(-1, True), (0, False), (1, False)])
async def test_when_the_look_up_outlasts_the_lease_nothing_is_sent(late_ms: int, *, sent: bool) -> None:
    clock, provider = Clock(), RecordingProvider()

    def take_long() -> None:
        clock.now = NOW + 30_000 + late_ms

    provider.on_look_up = take_long
    evidence, _ = await ask(provider, TAKEN_OVER, clock)
    assert [call for call, _ in provider.calls] == (["look_up", "charge"] if sent else ["look_up"])
    assert evidence == (BOOKED if sent else Unknown("the lease was over before the call"))


async def test_what_is_in_nobody_s_hands_is_not_sent() -> None:
    provider = RecordingProvider()
    evidence, _ = await ask(provider, msgspec.structs.replace(ATTEMPT, due_at=None))
    assert evidence == Unknown("the lease was over before the call")
    assert provider.calls == []


async def test_where_nobody_can_be_asked_the_same_key_sent_again_is_the_question() -> None:
    provider = RecordingProvider(CANNOT_BE_ASKED)
    assert await ask(provider, TAKEN_OVER) == (BOOKED, Cause.PROVIDER_ANSWER)
    assert [call for call, _ in provider.calls] == ["charge"]


@pytest.mark.parametrize("key_lifetime_seconds", [0, 10], ids=["no deduplication", "the key is forgotten"])
async def test_what_can_neither_be_asked_about_nor_sent_again_waits_for_a_person(key_lifetime_seconds: int) -> None:
    provider = RecordingProvider(capabilities(key_lifetime_seconds=key_lifetime_seconds, can_be_looked_up=False))
    evidence = RequiresReview("the provider supports neither look-ups nor deduplication by idempotency key")
    assert await ask(provider, TAKEN_OVER) == (evidence, Cause.LOOKUP)
    assert provider.calls == []


ACCEPTED: Final = msgspec.structs.replace(TAKEN_OVER, status="ACCEPTED")


async def test_what_the_provider_has_accepted_is_looked_up_and_never_sent_again() -> None:
    provider = RecordingProvider()
    assert await ask(provider, ACCEPTED) == (NotFound(), Cause.LOOKUP)
    assert [call for call, _ in provider.calls] == ["look_up"]


async def test_what_the_provider_has_accepted_and_cannot_be_looked_up_waits_for_its_webhook() -> None:
    provider = RecordingProvider(CANNOT_BE_ASKED)
    assert await ask(provider, ACCEPTED) == (Accepted(), Cause.LOOKUP)
    assert provider.calls == []


async def test_a_database_that_refuses_a_step_before_the_call_is_no_defect_of_the_connector() -> None:
    class Refusing(RecordingProvider):
        async def charge(self, request: ChargeRequest) -> Evidence:  # noqa: ARG002 - the protocol's
            raise Overloaded

    with capture_logs() as lines:
        evidence, _ = await ask(Refusing(), ATTEMPT)
    assert evidence == Unknown("the database refused a step before the call: overloaded")
    assert lines == []


class SilentProvider(RecordingProvider):
    """Never answers."""

    async def charge(self, request: ChargeRequest) -> Evidence:
        self.calls.append(("charge", request))
        await asyncio.Event().wait()
        return BOOKED

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        self.calls.append(("look_up", request))
        await asyncio.Event().wait()
        return BOOKED


@pytest.mark.parametrize(("attempt", "cause"), [(ATTEMPT, Cause.PROVIDER_ANSWER), (TAKEN_OVER, Cause.LOOKUP)])
async def test_a_provider_that_does_not_answer_in_time_proves_nothing(attempt: Attempt, cause: Cause) -> None:
    provider = SilentProvider()
    assert await ask(provider, attempt, timeout_seconds=0.01) == (Unknown("no answer within 0.01 s"), cause)
    assert len(provider.calls) == 1


class BrokenProvider(RecordingProvider):
    """Has a defect in its connector."""

    async def charge(self, request: ChargeRequest) -> Evidence:
        raise KeyError(request.key)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        raise KeyError(request.key)


@pytest.mark.parametrize(("attempt", "cause"), [(ATTEMPT, Cause.PROVIDER_ANSWER), (TAKEN_OVER, Cause.LOOKUP)])
async def test_a_connector_that_raises_proves_nothing(attempt: Attempt, cause: Cause) -> None:
    with capture_logs() as lines:
        assert await ask(BrokenProvider(), attempt) == (Unknown("the connector failed"), cause)
    assert [(one["event"], one["provider"], one["attempt_id"]) for one in lines] == (
        [("provider_failed", "simulator", "att_1")]
    )


async def test_of_several_providers_the_attempt_s_own_is_asked() -> None:
    mine, other = RecordingProvider(), RecordingProvider()
    caller = caller_of({"elsewhere": other, "simulator": mine})
    await caller.call(ATTEMPT)
    assert (len(mine.calls), other.calls) == (1, [])
