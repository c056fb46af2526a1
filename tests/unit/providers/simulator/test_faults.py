from collections import Counter

import pytest

from paidonce.providers.simulator.faults import (
    FAULTY_CALLS_MAX,
    OF_CALLS,
    OF_LOOK_UPS,
    OF_WEBHOOKS,
    Fault,
    FaultPlan,
    WebhookFault,
)

KEYS = [f"att_{number}" for number in range(4000)]


def test_the_same_seed_key_and_number_draw_the_same_and_another_seed_draws_others() -> None:
    one, again, other = [FaultPlan(rate=0.5, seed=seed) for seed in (1, 1, 2)]
    drawn = [[plan.for_call(key, number) for key in KEYS for number in (1, 2)] for plan in (one, again, other)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_as_many_calls_are_hit_as_the_rate_says(rate: float) -> None:
    plan = FaultPlan(rate=rate, seed=7)
    hit = sum(plan.for_call(key, 1).fault is not Fault.NONE for key in KEYS)
    assert hit == pytest.approx(rate * len(KEYS), abs=120)


def test_every_fault_is_drawn_about_as_often_as_every_other() -> None:
    plan = FaultPlan(rate=1.0, seed=3)
    calls = Counter(plan.for_call(key, 1).fault for key in KEYS)
    look_ups = Counter(plan.for_lookup(key, 1).fault for key in KEYS)
    webhooks = Counter(plan.for_webhook(key).webhook_fault for key in KEYS)
    assert (set(calls), set(look_ups), set(webhooks)) == (set(OF_CALLS), set(OF_LOOK_UPS), set(OF_WEBHOOKS))
    assert Fault.NONE not in OF_CALLS
    assert WebhookFault.ONCE not in OF_WEBHOOKS
    for counted in (calls, look_ups, webhooks):
        assert min(counted.values()) > 0.7 * max(counted.values())


def test_what_is_repeated_comes_through_in_the_end_even_if_every_call_is_hit() -> None:
    plan = FaultPlan(rate=1.0, seed=5)
    assert [plan.for_call("att_1", number).fault is Fault.NONE for number in range(1, 7)] == [False] * 3 + [True] * 3
    assert plan.for_lookup("att_1", FAULTY_CALLS_MAX + 1).fault is Fault.NONE
    assert all(0 <= plan.for_call(key, 1).extent < 1 for key in KEYS)
