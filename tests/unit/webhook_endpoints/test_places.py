"""The places of endpoints: what is taken is not shared out again until it is given back."""

from typing import Final

from paidonce.webhook_endpoints.delivery_actions import ClaimedDelivery
from paidonce.webhook_endpoints.due_delivery_store import Waiting
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, Delivery, DeliveryStatus, WebhookEndpoint
from paidonce.webhook_endpoints.sender import EndpointPlaces

ENDPOINT: Final = WebhookEndpoint(
    "whe_1", "m1", "test", "", None, None, None, None, None, None, None, None, 0, 0, 0, None
)


def claimed(endpoint_id: str, *, is_failing: bool = False) -> ClaimedDelivery:
    delivery = Delivery("dlv_1", "m1", endpoint_id, "evt_1", 1, DeliveryStatus.SENDING, 0, 1, 0, 0, 0, None)
    return ClaimedDelivery(delivery, ENDPOINT, b"", is_failing)


def shared(places: EndpointPlaces, *waiting: str, failing: str = "") -> dict[str, int]:
    """Share out among endpoints that wait, each named by a letter; those in ``failing`` are failing."""
    shares = places.share([Waiting(one, "m1", one in failing) for one in waiting])
    assert {one.merchant_id for one in shares} <= {"m1"}
    return {one.endpoint_id: one.places for one in shares}


def test_a_place_that_is_taken_is_shared_out_again_when_it_is_given_back() -> None:
    places = EndpointPlaces(100)
    jobs = [claimed("a") for _ in range(PLACES_OF_AN_ENDPOINT)]
    for job in jobs:
        places.take(job)
    assert shared(places, "a", "b") == {"b": PLACES_OF_AN_ENDPOINT}
    places.release(jobs[0])
    assert shared(places, "a") == {"a": 1}


def test_a_failing_endpoint_waits_for_its_one_call() -> None:
    places = EndpointPlaces(100)
    job = claimed("a", is_failing=True)
    assert shared(places, "a", failing="a") == {"a": 1}
    places.take(job)
    assert shared(places, "a", failing="a") == {}
    places.release(job)
    assert shared(places, "a", failing="a") == {"a": 1}


def test_failing_endpoints_together_keep_half_of_the_places_free_for_the_others() -> None:
    places = EndpointPlaces(6)
    for name in "ab":
        places.take(claimed(name, is_failing=True))
    assert shared(places, "c", "d", "e", failing="cd") == {"c": 1, "e": 3}
    places.take(claimed("c", is_failing=True))
    assert shared(places, "d", "e", failing="d") == {"e": 3}


def test_no_more_is_shared_out_than_is_free_the_first_ones_first() -> None:
    places = EndpointPlaces(10)
    places.take(claimed("z"))
    assert shared(places, "a", "b", "c") == {"a": 8, "b": 1}
    assert shared(places, "a", "b", "c", failing="a") == {"a": 1, "b": 8}
