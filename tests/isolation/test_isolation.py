"""Nothing crosses merchants or modes, neither read nor written nor told: each route of the document and each verb, by
another merchant, and by the same merchant with a key of the other mode.
"""

import re
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from paidonce.merchants.model import Scope
from tests.isolation.routes import NOT_OWNED, OPEN, OPERATORS, ROUTES, VERBS, Json, Route
from tests.isolation.world import NOBODY, OWNER, World, document, nothing_like, told
from tests.support.merchant_client import at_once

# What the service reads in the background may fall into a comparison, but not each time.
TRIES_MAX: Final = 20


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, item in document()["paths"].items():
        for verb, operation in item.items():
            yield verb.upper(), path, operation


def scoped() -> Iterator[tuple[str, str, Route, Scope]]:
    for verb, path, operation in operations():
        if "security" in operation:
            yield (
                verb,
                path,
                ROUTES[f"{verb} {path}"],
                Scope(operation["description"].rpartition("`")[0].rpartition("`")[2]),
            )


def named(path: str, name: str, thing: str) -> str:
    return path.replace(f"{{{name}}}", thing)


def filled(path: str, world: World) -> str:
    """Name the first of the owner's things in a path."""
    names = NOT_OWNED | {name: things[0] for name, things in world.things.items()}
    return re.sub(r"{(.+?)}", lambda found: names[found[1]], path)


def test_every_route_of_the_document_is_in_the_table_and_no_other() -> None:
    assert sorted(ROUTES) == sorted(f"{verb} {path}" for verb, path, _ in operations())


def test_every_operation_has_a_scope_but_those_that_are_known_to_be_open() -> None:
    assert sorted(OPEN) == sorted(
        f"{verb} {path}" for verb, path, operation in operations() if "security" not in operation
    )


def test_every_operation_with_a_scope_says_how_it_refuses() -> None:
    assert [
        operation["operationId"]
        for _, _, operation in operations()
        if "security" in operation and "401" not in operation["responses"]
    ] == []
    assert [
        operation["operationId"]
        for _, _, operation in operations()
        if "security" in operation and "403" not in operation["responses"]
    ] == []


async def test_anothers_thing_is_answered_as_one_that_does_not_exist_with_every_verb(world: World) -> None:
    tried = 0
    with world.unchanged():
        for path in document()["paths"]:
            for verb in VERBS:
                body = ROUTES.get(f"{verb} {path}", Route()).body
                for name, theirs in world.named_in(path):
                    pair = theirs, nothing_like(theirs)
                    for key in world.strangers.values():
                        found, missed = [await world.call(verb, named(path, name, one), key, json=body) for one in pair]
                        assert told(found, *pair) == told(missed, *pair), f"{verb} {path}"
                        assert not found.is_success or verb == "OPTIONS", f"{verb} {path}"
                        tried += 1
    assert tried >= 600


async def test_anothers_name_in_a_field_or_a_parameter_is_answered_as_one_that_nobody_has(world: World) -> None:
    with world.unchanged():
        for call, route in ROUTES.items():
            verb, path = call.split()
            for place, fields in (("json", route.fields), ("params", route.parameters)):
                for field, kind in fields:
                    for theirs in world.things[kind]:
                        for own, key in world.strangers.items():
                            if theirs == own:
                                continue  # Its own merchant.
                            pair = theirs, nothing_like(theirs)
                            given = (route.body or {}) if place == "json" else {}
                            operation = [{place: {**given, field: one}} for one in pair]
                            answers = [await world.call(verb, path, key, **one) for one in operation]
                            assert told(answers[0], *pair) == told(answers[1], *pair), f"{call} {field}"
                            assert is_clean(answers[0], world, allowed={theirs, own}), f"{call} {field}"


async def test_what_one_may_read_or_make_oneself_has_no_trace_of_the_other(world: World) -> None:
    with world.unchanged():
        for call, route in ROUTES.items():
            verb, path = call.split()
            for own, key in world.strangers.items():
                if "{" not in path:
                    answer = await world.call(verb, path, key, json=route.body)
                    assert is_clean(answer, world, allowed={own}), call
                    assert "Idempotent-Replayed" not in answer.headers, call


@pytest.mark.parametrize("call", [call for call, route in ROUTES.items() if route.names_mode])
async def test_a_key_cannot_name_the_other_mode(world: World, call: str) -> None:
    verb, path = call.split()
    path = path.replace("{key}", world.things["key"][0])
    with world.unchanged():
        body = ROUTES[call].body
        given: Json = {"params": {"mode": "test"}} if body is None else {"json": {**body, "mode": "test"}}
        refused = await world.call(verb, path, world.live, **given)
        assert refused.status_code == 403
        assert refused.json()["code"] in ("wrong_mode", "provider_account_wrong_mode")
        assert is_clean(refused, world, allowed={OWNER, *world.things["key"]})


def test_every_call_that_names_a_merchant_can_name_a_mode() -> None:
    """So a caller without a mode can say which is meant. An operator's calls have none, but for a new key's own."""
    for call, route in ROUTES.items():
        names_merchant = "merchant" in dict((*route.parameters, *route.fields)).values()
        assert route.names_mode == (names_merchant and not call.endswith((" /merchants", " /keys"))), call


def is_clean(answer: httpx.Response, world: World, *, allowed: set[str]) -> bool:
    traces = {one for things in world.things.values() for one in things} - allowed
    return not any(trace in answer.text or trace in str(answer.headers) for trace in traces)


async def test_the_owner_and_the_operator_are_answered_where_others_are_not(world: World) -> None:
    """With the right key each of these routes finds the thing: so the tests above can fail. Settling did the rest."""
    for verb, path, _, scope in scoped():
        if verb == "GET":
            answer = await world.call(verb, filled(path, world), world.admin if scope is Scope.ADMIN else world.owner)
            assert answer.status_code == 200, f"{verb} {path}"


async def test_two_merchants_and_two_modes_that_name_one_thing_at_the_same_time_are_told_apart(world: World) -> None:
    for path in (path for verb, path, _ in operations() if verb == "GET"):
        for name, theirs in list(world.named_in(path))[:1]:
            if name != "key_id":
                answers = await at_once(
                    world.call("GET", named(path, name, theirs), key)
                    for key in (world.owner, world.other, world.live) * 7
                )
                assert [answer.status_code for answer in answers] == [200, 404, 404] * 7, path


async def test_a_key_without_the_scope_is_refused_and_nothing_changes(world: World) -> None:
    keys = {scope: await world.key(OWNER, scope) for scope in Scope}
    with world.unchanged():
        for verb, path, route, scope in scoped():
            answer = await world.call(verb, filled(path, world), keys[scope], json=route.body)
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope"), f"{verb} {path}"
            assert str(scope) in answer.json()["detail"]


async def test_without_a_key_that_lives_nothing_but_what_is_open_answers(world: World) -> None:
    with world.unchanged():
        for verb, path, route, _ in scoped():
            for key in (None, "sk_test_", world.owner[:-1], world.owner + "x", world.owner.replace("test", "live")):
                answer = await world.call(verb, filled(path, world), key, json=route.body)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), f"{verb} {path}"
                assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "strange",
    [b"", b"\xff\xfe", b"Bearer", b"Bearer ", b"Basic bTpt", b"sk_test_", b"Bearer " + b"x" * 9000, b"Bearer \xe9"],
)
async def test_a_strange_authorization_is_none_and_no_fault_of_ours(world: World, strange: bytes) -> None:
    answer = await world.http.get("/checkouts", headers=[(b"authorization", strange)])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_the_scheme_is_bearer_in_any_case(world: World) -> None:
    answer = await world.http.get("/checkouts", headers={"Authorization": f"bEARER  {world.owner} "})
    assert answer.status_code == 200


async def test_anothers_thing_takes_the_same_statements_as_one_that_does_not_exist(world: World) -> None:
    # What is open is for a provider, which has no merchant: its webhooks say nothing about whether an account exists.
    for call, route in ((call, route) for call, route in ROUTES.items() if call not in OPEN):
        verb, path = call.split()
        for name, theirs in world.named_in(path):
            paths = [named(path, name, one) for one in (theirs, nothing_like(theirs))]
            for key in world.strangers.values():
                asked = await statements_of_both(world, verb, paths, route, key)
                # A merchant's key is refused at an operator's calls before anything is read.
                is_operators = call in OPERATORS
                # A live key cannot name the simulator: that is refused before anything is read.
                is_refused_first = key == world.live and "simulator" in str(route.body)
                assert asked or is_operators or is_refused_first, call


async def statements_of_both(world: World, verb: str, paths: list[str], route: Route, key: str) -> list[str]:
    """Return the statements that a call makes on both of two paths. They must be the same."""
    for _ in range(TRIES_MAX):
        of_theirs, of_nothing = [await statements_of(world, verb, one, route, key) for one in paths]
        if of_theirs == of_nothing:
            return of_theirs
    raise AssertionError(f"{verb} {paths[0]} takes other statements than {verb} {paths[1]}")


async def statements_of(world: World, verb: str, path: str, route: Route, key: str) -> list[str]:
    """Call with a key; returns what the database was asked."""
    with world.statements() as statements:
        await world.call(verb, path, key, json=route.body)
    return statements


async def test_an_operators_key_names_a_merchant_that_is_there(world: World) -> None:
    create = ROUTES["POST /checkouts"].body
    assert create is not None
    unnamed = await world.call("POST", "/checkouts", world.admin, json=create)
    unknown = await world.call("POST", "/checkouts", world.admin, json={**create, "merchantId": NOBODY})
    listed = await world.call("GET", "/checkouts", world.admin, params={"merchantId": NOBODY})
    known = await world.call("POST", "/checkouts", world.admin, json={**create, "merchantId": OWNER})
    assert [one["pointer"] for one in unnamed.json()["errors"]] == ["/merchantId"]
    assert (unknown.status_code, unknown.json()["code"]) == (404, "merchant_not_found")
    assert (listed.status_code, listed.json()["code"]) == (404, "merchant_not_found")
    assert (known.status_code, known.headers["Idempotent-Replayed"]) == (201, "true")
