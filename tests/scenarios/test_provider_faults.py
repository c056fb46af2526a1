"""A provider with every fault, from a seed: all payments end, and its books show that nobody paid twice."""

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.support.merchant_client import Json, MerchantClient, a_few_at_a_time, at_once
from tests.support.oracle import attempts_of, violated_invariants
from tests.support.provider_process import ServiceAndProvider, start_service_and_provider
from tests.support.service_process import ServiceProcess

PAYMENTS = 100
# What goes wrong with the calls is the seed's to say.
METHODS = (
    *["tok_success"] * 6,
    "tok_declined_expired_card",
    "tok_webhook_first",
    "tok_webhook_twice",
    "tok_webhook_never",
)
# Six failures in a row happen among so many: the sixth look-up, an hour later in production, comes in four seconds.
QUICK = {
    "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "1",
    "PAIDONCE_LEASE_SECONDS": "2",
    "PAIDONCE_RECONCILE_FIRST_SECONDS": "0.005",
}


# Of every family of faults some must come: otherwise nothing is proven. One is missing among a hundred payments now and
# then, so that some more are made.
FAMILIES = ("timeout", "error", "dropped", "slow", "hidden", "booked_late", "look_up", "webhook")
ROUNDS_MAX = 5


async def test_a_hundred_payments_at_a_provider_where_every_second_call_fails_end_and_charge_once(
    start: Callable[..., ServiceProcess], database_url: str, chance: Random
) -> None:
    seed = str(chance.randrange(10**6))
    pair = start_service_and_provider(
        start, database_url, "--fault-rate", "0.5", "--seed", seed, "--latency-ms", "20", settings=QUICK
    )
    ended: list[Json] = []
    missing = list(FAMILIES)
    async with MerchantClient(pair.service.url) as shop:
        for _ in range(ROUNDS_MAX):
            ended += await pay(shop, [chance.choice(METHODS) for _ in range(PAYMENTS)])
            missing = [family for family in FAMILIES if not any(family in name for name in pair.faults())]
            if not missing:
                break
    assert Counter(one["status"] for one in ended).keys() <= {"COMPLETED", "FAILED"}
    compare_with_the_books(pair, ended)
    assert violated_invariants(pair.service.database_url, pair.service.books) == []
    assert missing == []


async def test_where_keys_do_not_deduplicate_nothing_is_sent_twice(
    start: Callable[..., ServiceProcess], database_url: str, chance: Random
) -> None:
    seed = str(chance.randrange(10**6))
    options = ("--no-deduplicate", "--fault-rate", "0.33", "--seed", seed, "--latency-ms", "20")
    pair = start_service_and_provider(
        start, database_url, *options, settings=QUICK | {"PAIDONCE_SIMULATOR_DEDUPLICATES": "false"}
    )
    async with MerchantClient(pair.service.url) as shop:
        ids = await at_once(shop.created() for _ in range(40))
        await a_few_at_a_time(lambda one: shop.pay(one, "tok_success"), ids)
        ended = await a_few_at_a_time(lambda one: shop.get(one, wait_seconds=4), ids, limit=40)
    # What never arrived waits for a person: it must not be sent again, however long nothing is found.
    assert Counter(one["status"] for one in ended).keys() <= {"COMPLETED", "PROCESSING"}
    keys = Counter(one["key"] for one in pair.charges())
    assert max(keys.values()) == 1
    assert {row.status for row in attempts_of(pair.service.database_url, ids)} <= {
        "READY",
        "SENT",
        "UNKNOWN",
        "SUCCEEDED",
    }
    assert violated_invariants(pair.service.database_url, pair.service.books) == []


async def test_the_books_betray_a_double_charge_where_the_service_was_told_a_lie(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    """A negative control: with a provider that does not deduplicate as declared, these tests fail."""
    # Look-ups know nothing of a charge for as long as the service could ask.
    options = ("--no-deduplicate", "--lookup-delay-ms", "600000")
    pair = start_service_and_provider(start, database_url, *options, tells=False, settings=QUICK)
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        await shop.paid(checkout_id, "tok_unknown_then_success")
    assert [one["status"] for one in pair.charges_of(checkout_id)] == ["succeeded"] * 2
    assert any(broken.startswith("1.") for broken in violated_invariants(database_url, pair.service.books))


async def pay(shop: MerchantClient, methods: list[str]) -> list[Json]:
    """Create and pay a checkout with each method, and wait for the outcomes."""
    ids = await at_once(shop.created() for _ in methods)
    answers = await at_once(shop.pay(one, method) for one, method in zip(ids, methods, strict=True))
    assert {answer.status_code for answer in answers} == {202}
    return await a_few_at_a_time(shop.ended, ids, limit=len(ids))


def compare_with_the_books(pair: ServiceAndProvider, ended: list[Json]) -> None:
    charged = Counter(one["checkoutId"] for one in pair.charges() if one["status"] == "succeeded")
    assert charged == Counter(one["id"] for one in ended if one["status"] == "COMPLETED")
    assert len({one["key"] for one in pair.charges()}) == len(pair.charges())
