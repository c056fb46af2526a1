"""What an event shows of what was stored about it, and which types of events there are to ask for."""

import msgspec
import pytest

from paidonce.events.model import Event, EventType
from paidonce.events.schemas import check_types, event_response


@pytest.mark.parametrize("name", ["providerReference", "declineCode", "reason", "idempotencyKey", "actor"])
def test_an_event_shows_each_detail_under_its_own_name(name: str) -> None:
    event = Event(
        id="evt_1",
        merchant_id="m",
        mode="test",
        sequence=1,
        checkout_id="chk_1",
        attempt_id="att_1",
        type="attempt.declined",
        cause="provider_answer",
        detail=msgspec.json.encode({name: "told"}).decode(),
        request_id="req_1",
        created_at=0,
    )
    shown = msgspec.to_builtins(event_response(event))
    assert {key for key, value in shown.items() if value == "told"} == {name}


def test_types_that_there_are_may_be_asked_for_and_others_are_named_in_the_refusal() -> None:
    known = ",".join(list(EventType)[:2])
    assert check_types(known) is None
    assert check_types(f"{known},z.b,a.b") == "There is no event type a.b, z.b."
