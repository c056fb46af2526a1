"""What a provider is asked about an attempt that is paid through a session: opened, committed, charged, or closed."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from paidonce.checkouts.model import Checkout
from paidonce.events.model import Cause
from paidonce.payments.model import Attempt
from paidonce.payments.provider_calls import Called, ProviderCaller
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.reducer import decide
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
    encode_action,
)
from tests.unit.payments.test_provider_calls import ATTEMPT, NOW, Clock, RecordingProvider

RETURN_URL: Final = "https://pay.example/return/abc"
EXPIRES_AT: Final = NOW + 3_600_000
ACTION: Final = Redirect("https://provider.example/pay/ses_1")
NEW: Final = msgspec.structs.replace(
    ATTEMPT, payment_method=HOSTED_PAGE, return_url=RETURN_URL, return_token="abc", session_expires_at=EXPIRES_AT
)
WAITING: Final = msgspec.structs.replace(
    NEW, fence=2, status="REQUIRES_ACTION", session_reference="ses_1", action=encode_action(ACTION)
)
CHECKOUT: Final = Checkout(
    id="chk_1",
    merchant_id="m",
    mode="test",
    idempotency_key="1",
    amount=1000,
    currency="USD",
    status="PROCESSING",
    capture_method="automatic",
    amount_captured=0,
    amount_refunded=0,
    amount_refund_pending=0,
    amount_disputed=0,
    attempt_count=1,
    description="Two books",
    metadata=None,
    success_url=None,
    cancel_url=None,
    created_at=NOW,
    updated_at=NOW,
    expires_at=EXPIRES_AT,
)


class SessionProvider(RecordingProvider):
    """Answers each call as the test says."""

    def __init__(self, **answers: Evidence) -> None:
        super().__init__()
        self.answers = answers

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        return self._booked("look_up", request)

    def _booked(self, call: str, request: object) -> Evidence:
        self.calls.append((call, request))
        return self.answers[call]

    @property
    def called(self) -> list[str]:
        return [call for call, _ in self.calls]


class Caller:
    """A caller, with what it committed."""

    def __init__(self, provider: SessionProvider, clock: Clock | None = None) -> None:
        self.commits: list[tuple[str, str, list[str]]] = []
        self.lease_is_lost = False
        self.on_commit: Callable[[], None] = lambda: None
        self._provider = provider
        self._caller = ProviderCaller(
            PaymentProviders({"simulator": provider}).find,
            timeout_seconds=20.0,
            clock=clock or Clock(),
            commit_session=self._commit,
            load_checkout=self._load,
        )

    async def call(self, attempt: Attempt) -> Called:
        return await self._caller.call(attempt)

    async def _commit(self, attempt: Attempt, reference: str) -> Attempt | None:
        self.commits.append((attempt.status, reference, list(self._provider.called)))
        self.on_commit()
        if self.lease_is_lost:
            return None
        return msgspec.structs.replace(attempt, status="SENT", session_reference=reference, action=None)

    async def _load(self, _attempt: Attempt) -> Checkout:
        return CHECKOUT


async def test_a_session_is_opened_with_what_the_buyer_pays_for_and_where_they_come_back_to() -> None:
    provider = SessionProvider(open=RequiresAction("ses_1", ACTION))
    called = await Caller(provider).call(NEW)
    assert (called.evidence, called.cause) == (RequiresAction("ses_1", ACTION), Cause.PROVIDER_ANSWER)
    ((call, request),) = provider.calls
    assert (call, request.key, request.return_url) == ("open", "key_1", RETURN_URL)
    assert (request.description, request.expires_at, request.session_reference) == ("Two books", EXPIRES_AT, None)


async def test_a_session_is_committed_before_it_is_charged() -> None:
    provider = SessionProvider(open=Opened("ses_1"), charge=Succeeded("ch_1"))
    caller = Caller(provider)
    called = await caller.call(NEW)
    assert caller.commits == [("SENT", "ses_1", ["open"])]
    assert provider.called == ["open", "charge"]
    assert provider.calls[1][1].session_reference == "ses_1"
    assert (called.evidence, called.attempt.session_reference) == (Succeeded("ch_1"), "ses_1")


async def test_a_session_is_not_charged_where_the_lease_was_lost_before_its_commit() -> None:
    provider = SessionProvider(open=Opened("ses_1"), charge=Succeeded("ch_1"))
    caller = Caller(provider)
    caller.lease_is_lost = True
    called = await caller.call(NEW)
    assert provider.called == ["open"]
    assert called.evidence == Unknown("the lease was over before the call")


async def test_a_session_is_not_charged_where_the_commit_outlasts_the_lease() -> None:
    provider, clock = SessionProvider(open=Opened("ses_1"), charge=Succeeded("ch_1")), Clock()
    caller = Caller(provider, clock)

    def take_long() -> None:
        clock.now = NOW + 30_000

    caller.on_commit = take_long
    assert (await caller.call(NEW)).evidence == Unknown("the lease was over before the call")
    assert provider.called == ["open"]


@pytest.mark.parametrize("lost", [Unknown("no answer"), NotDone("no connection", retryable=True)])
async def test_a_session_whose_opening_is_unknown_is_opened_again_by_whoever_takes_over(lost: Evidence) -> None:
    provider = SessionProvider(open=lost)
    assert (await Caller(provider).call(NEW)).evidence == lost
    provider.answers["open"] = RequiresAction("ses_1", ACTION)
    called = await Caller(provider).call(msgspec.structs.replace(NEW, fence=2, status="UNKNOWN"))
    assert provider.called == ["open", "open"]
    assert called.evidence == RequiresAction("ses_1", ACTION)


async def test_a_session_that_the_provider_refuses_to_open_declines_even_after_a_lost_answer() -> None:
    refused = NotDone("the currency is not supported", "currency_not_supported")
    called = await Caller(SessionProvider(open=refused)).call(msgspec.structs.replace(NEW, fence=3, status="UNKNOWN"))
    transition = decide(called.attempt, called.evidence, now=NOW, schedule=LookupSchedule(), chance=0.5)
    assert transition is not None
    assert (transition.status, transition.decline_code) == ("DECLINED", "currency_not_supported")


async def test_nothing_is_opened_under_a_lease_that_is_over() -> None:
    provider = SessionProvider(open=Opened("ses_1"))
    called = await Caller(provider).call(msgspec.structs.replace(NEW, due_at=NOW))
    assert (called.evidence, provider.calls) == (Unknown("the lease was over before the call"), [])


@pytest.mark.parametrize(
    "found", [RequiresAction("ses_1", ACTION), Succeeded("ch_1"), Declined("buyer_declined"), Unknown("a 500")]
)
async def test_a_session_that_waits_for_its_buyer_is_looked_up(found: Evidence) -> None:
    provider = SessionProvider(look_up=found)
    called = await Caller(provider).call(WAITING)
    assert (provider.called, called.evidence, called.cause) == (["look_up"], found, Cause.LOOKUP)
    assert provider.calls[0][1].session_reference == "ses_1"


@pytest.mark.parametrize("status", ["REQUIRES_ACTION", "UNKNOWN", "SENT"])
async def test_a_session_that_the_buyer_has_approved_is_charged_once_that_is_committed(status: str) -> None:
    provider = SessionProvider(look_up=Opened("ses_1"), charge=Authorized("ch_1"))
    caller = Caller(provider)
    called = await caller.call(msgspec.structs.replace(WAITING, status=status, fence=4))
    assert provider.called == ["look_up", "charge"]
    assert caller.commits == [(status, "ses_1", ["look_up"])]
    assert (called.evidence, called.cause, called.attempt.status) == (Authorized("ch_1"), Cause.PROVIDER_ANSWER, "SENT")
    assert provider.calls[1][1].call_number == 4


CLOSING: Final = {
    "it is to be canceled": msgspec.structs.replace(WAITING, close_reason="canceled"),
    "it has expired": msgspec.structs.replace(WAITING, session_expires_at=NOW),
    "it has expired, and what became of it is unknown": msgspec.structs.replace(
        WAITING, status="UNKNOWN", action=None, session_expires_at=NOW - 1
    ),
}


@pytest.mark.parametrize("attempt", CLOSING.values(), ids=CLOSING)
@pytest.mark.parametrize("found", [RequiresAction("ses_1", ACTION), Opened("ses_1")])
@pytest.mark.parametrize("closed", [Declined("session_closed"), Succeeded("ch_1"), Unknown("no answer")])
async def test_a_session_that_must_take_no_money_is_closed_and_never_charged(
    attempt: Attempt, found: Evidence, closed: Evidence
) -> None:
    provider = SessionProvider(look_up=found, close=closed)
    called = await Caller(provider).call(attempt)
    assert (provider.called, called.evidence) == (["look_up", "close"], closed)
    assert called.cause is Cause.PROVIDER_ANSWER


@pytest.mark.parametrize("found", [Succeeded("ch_1"), Declined("session_expired"), Unknown("a 500"), NotFound()])
async def test_a_session_is_not_closed_where_its_outcome_is_known_or_cannot_be_asked(found: Evidence) -> None:
    provider = SessionProvider(look_up=found)
    called = await Caller(provider).call(CLOSING["it is to be canceled"])
    assert (provider.called, called.evidence, called.cause) == (["look_up"], found, Cause.LOOKUP)


async def test_nothing_is_closed_under_a_lease_that_is_over() -> None:
    clock = Clock()
    provider = SessionProvider(look_up=RequiresAction("ses_1", ACTION), close=Declined("session_closed"))
    clock.now = NOW + 30_000
    called = await Caller(provider, clock).call(CLOSING["it is to be canceled"])
    assert (provider.called, called.evidence) == (["look_up"], Unknown("the lease was over before the call"))


async def test_an_attempt_that_expires_before_its_session_is_open_is_declined_without_a_call() -> None:
    provider = SessionProvider()
    expired = msgspec.structs.replace(NEW, session_expires_at=NOW, fence=2)
    assert (await Caller(provider).call(expired)).evidence == Declined("session_expired")
    assert provider.calls == []


async def test_a_capture_of_a_session_s_charge_is_sent_directly() -> None:
    provider: Any = SessionProvider(capture=Succeeded("cap_1"))
    capture = msgspec.structs.replace(WAITING, kind="CAPTURE", fence=1, status="SENT", charge_reference="ch_1")
    assert (await Caller(provider).call(capture)).evidence == Succeeded("cap_1")
    assert provider.called == ["capture"]
