"""Concurrent creates of the same checkout: there is one purchase."""

from tests.support.merchant_client import Json, MerchantClient, at_once, is_replayed
from tests.support.oracle import violated_invariants
from tests.support.service_process import ServiceProcess

RACERS = 200


async def test_two_hundred_racing_creates_with_one_key_give_one_checkout(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        answers = await at_once(shop.create("the-key") for _ in range(RACERS))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum(not is_replayed(answer) for answer in answers) == 1
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_of_racing_creates_with_one_key_and_five_bodies_one_body_wins_and_the_others_learn_what_differs(
    service: ServiceProcess,
) -> None:
    bodies: list[Json] = [
        {"amount": 500},
        {"amount": 700},
        {"amount": 500, "currency": "EUR"},
        {"amount": 500, "description": "Tea", "expiresIn": 600},
        {"amount": 500, "metadata": {"order": "7"}, "successUrl": "https://shop.example/thanks"},
    ]
    sent = [bodies[number % len(bodies)] for number in range(60)]
    async with MerchantClient(service.url) as shop:
        answers = await at_once(shop.create("the-key", **body) for body in sent)
    won = [body for body, answer in zip(sent, answers, strict=True) if answer.status_code == 201]
    winner = won[0]
    assert all(body == winner for body in won)
    assert len(won) == 60 // len(bodies)
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    for body, answer in zip(sent, answers, strict=True):
        if answer.status_code == 201:
            continue
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "idempotency_key_reused")
        assert set(problem["fields"]) == {name for name in winner | body if winner.get(name) != body.get(name)}


async def test_a_key_belongs_to_its_merchant_and_never_expires(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop, MerchantClient(service.url) as another:
        mine, theirs = await shop.created("the-key"), await another.created("the-key")
        assert mine != theirs
        await shop.paid(mine)
        again = await shop.create("the-key")
    assert (again.status_code, is_replayed(again)) == (201, True)
    assert (again.json()["id"], again.json()["status"]) == (mine, "COMPLETED")
