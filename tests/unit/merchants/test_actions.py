"""Merchants and API keys on both databases: created, rotated and revoked once, and stored as a hash."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import api_key
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import KeyNotActive, KeyNotFound, MerchantNotFound
from paidonce.merchants.actions import (
    IssuedKey,
    MerchantFilter,
    NewKey,
    RevokeKey,
    RotateKey,
    create_keys,
    create_merchants,
    list_keys,
    list_merchants,
    load_active_keys,
    load_keys,
    load_merchants,
    revoke_keys,
    rotate_keys,
)
from paidonce.merchants.model import MERCHANT_SCOPES, OPERATOR, Caller, Mode, Scope
from paidonce.merchants.secret import RANDOM_LENGTH, hash_secret
from paidonce.merchants.store import KeyFilter
from tests.support.databases import make_schema
from tests.support.partial_transaction import PartialTransaction

NOW: Final = 1_700_000_000_000


class ApiKeyHarness:
    """A database with a clock that stands still until it is moved."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.database: Database = open_database(parse_database_url(url), clock=lambda: self.now)
        make_schema(self.database)

    def do(self, action: Callable[[Transaction, Any], Any], *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def make(self, merchant_id: str = "m1", **messages: Any) -> Any:  # noqa: ANN401 - an outcome
        return self.do(create_keys, new_key(merchant_id, **messages))[0]

    def rotate(self, key_id: str, overlap_seconds: int = 60, *, operators: bool = False) -> Any:  # noqa: ANN401 - an outcome
        return self.do(rotate_keys, rotation(key_id, overlap_seconds, operators=operators))[0]

    def revoke(self, key_id: str, *, operators: bool = False) -> Any:  # noqa: ANN401 - an outcome
        return self.do(revoke_keys, RevokeKey(id=key_id, operators=operators))[0]

    def opens(self, *secrets: str) -> list[bool]:
        """Tell which of these secrets open something."""
        hashes = [hash_secret(one.encode()) for one in secrets]
        living = self.do(load_active_keys, hashes)[0]
        return [one in living for one in hashes]


def new_key(merchant_id: str, mode: Mode = Mode.TEST, scopes: frozenset[Scope] = MERCHANT_SCOPES) -> NewKey:
    random_part = ids.draw_base62(RANDOM_LENGTH)
    return NewKey(id=ids.new_id(ids.KEY), random_part=random_part, merchant_id=merchant_id, mode=mode, scopes=scopes)


def rotation(key_id: str, overlap_seconds: int, *, operators: bool = False) -> RotateKey:
    return RotateKey(
        id=key_id,
        new_id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        overlap_seconds=overlap_seconds,
        operators=operators,
    )


@pytest.fixture
def harness(migrated_database_url: str) -> Iterator[ApiKeyHarness]:
    one = ApiKeyHarness(migrated_database_url)
    one.do(create_merchants, "m1", "m2")
    yield one
    one.database.close()


def test_a_merchant_is_made_once_and_stays_as_it_is(harness: ApiKeyHarness) -> None:
    first = harness.do(create_merchants, "m3", "m3")
    harness.now += 1000
    again = harness.do(create_merchants, "m3")[0]
    assert {one.merchant.created_at for one in (*first, again)} == {NOW}
    assert (first[0].is_new, again.is_new) == (True, False)
    assert isinstance(harness.do(load_merchants, "m4")[0], MerchantNotFound)


def test_merchants_are_paged_in_the_order_of_their_ids(harness: ApiKeyHarness) -> None:
    harness.do(create_merchants, "m10", "M1", "m3")
    (first, more), (rest, no_more) = harness.do(list_merchants, MerchantFilter(3), MerchantFilter(3, "m10"))
    assert ([one.id for one in first], more) == (["M1", "m1", "m10"], True)
    assert ([one.id for one in rest], no_more) == (["m2", "m3"], False)


def test_a_key_opens_its_merchants_doors_and_no_other(harness: ApiKeyHarness) -> None:
    scopes = frozenset({Scope.CHECKOUTS_READ})
    issued = harness.make("m1", scopes=scopes)
    living = harness.do(load_active_keys, [hash_secret(issued.secret.encode())])[0]
    assert [one.caller for one in living.values()] == [Caller("m1", scopes, issued.key.id, Mode(issued.key.mode))]
    assert isinstance(harness.make("m3"), MerchantNotFound)


def test_while_a_node_is_lost_only_a_key_that_is_not_found_may_be_one_that_is_valid(harness: ApiKeyHarness) -> None:
    valid, revoked = harness.make(), harness.make()
    harness.revoke(revoked.key.id)
    hashes = [hash_secret(one.encode()) for one in (valid.secret, revoked.secret, "unknown")]
    with harness.database.read() as transaction:
        partial = PartialTransaction(transaction.connection, transaction.now)
        (found,) = load_active_keys(partial, [hashes])
        (found_by_all_nodes,) = load_active_keys(transaction, [hashes])
    assert found == {**found_by_all_nodes, hashes[2]: None}
    assert found_by_all_nodes.keys() == {hashes[0]}


def test_an_operators_key_belongs_to_no_merchant_and_is_touched_by_its_own_shell_only(harness: ApiKeyHarness) -> None:
    issued = harness.make(OPERATOR, scopes=frozenset(Scope))
    living = harness.do(load_active_keys, [hash_secret(issued.secret.encode())])[0]
    assert [one.caller for one in living.values()] == [Caller(None, frozenset(Scope), issued.key.id)]
    assert isinstance(harness.revoke(issued.key.id), KeyNotFound)
    assert isinstance(harness.rotate(issued.key.id), KeyNotFound)
    assert harness.do(list_keys, KeyFilter(limit=10, operators=False)) == [([], False)]
    rotated = harness.rotate(issued.key.id, 0, operators=True)
    assert harness.opens(issued.secret, rotated.secret) == [False, True]
    harness.revoke(rotated.key.id, operators=True)
    assert harness.opens(rotated.secret) == [False]


def test_after_a_rotation_both_keys_live_until_the_overlap_is_over(harness: ApiKeyHarness) -> None:
    old = harness.make("m1", mode=Mode.LIVE, scopes=frozenset({Scope.EVENTS_READ}))
    new = harness.rotate(old.key.id, 60)
    assert (new.key.merchant_id, new.key.mode, new.key.scopes) == ("m1", "live", "events:read")
    assert new.secret.startswith("sk_live_")
    harness.now += 59_999
    assert harness.opens(old.secret, new.secret) == [True, True]
    harness.now += 1
    assert harness.opens(old.secret, new.secret) == [False, True]


def test_a_key_is_replaced_once_so_that_two_at_the_most_are_alive(harness: ApiKeyHarness) -> None:
    old = harness.make()
    outcomes = harness.do(rotate_keys, rotation(old.key.id, 60), rotation(old.key.id, 60))
    assert [type(one) for one in outcomes] == [IssuedKey, KeyNotActive]
    assert isinstance(harness.rotate(old.key.id), KeyNotActive)
    assert isinstance(harness.rotate(outcomes[0].key.id), IssuedKey)


def test_an_invalid_key_is_not_rotated(harness: ApiKeyHarness) -> None:
    revoked, expired = harness.make(), harness.make()
    harness.revoke(revoked.key.id)
    harness.rotate(expired.key.id, 0)
    assert [isinstance(harness.rotate(one.key.id), KeyNotActive) for one in (revoked, expired)] == [True, True]
    assert isinstance(harness.rotate("key_none"), KeyNotFound)


def test_revoking_is_for_good_and_revoking_again_changes_nothing(harness: ApiKeyHarness) -> None:
    issued = harness.make()
    first = harness.revoke(issued.key.id)
    harness.now += 1000
    assert harness.revoke(issued.key.id) == first
    assert (first.revoked_at, harness.opens(issued.secret)) == (NOW, [False])
    assert isinstance(harness.revoke("key_none"), KeyNotFound)


def test_revoking_one_key_of_a_batch_leaves_the_others(harness: ApiKeyHarness) -> None:
    one, other = harness.make("m1"), harness.make("m2")
    harness.do(revoke_keys, *(RevokeKey(id=name, operators=False) for name in (one.key.id, "key_none", one.key.id)))
    assert harness.opens(one.secret, other.secret) == [False, True]


@pytest.mark.parametrize("action", ["create", "rotate"])
def test_a_batch_that_runs_again_after_a_lost_commit_makes_no_second_key(harness: ApiKeyHarness, action: str) -> None:
    old = harness.make()
    request: object = new_key("m1") if action == "create" else rotation(old.key.id, 0)
    run = create_keys if action == "create" else rotate_keys
    first, again = harness.do(run, request)[0], harness.do(run, request)[0]
    (keys, _) = harness.do(list_keys, KeyFilter(limit=10, operators=True))[0]
    assert (again.key.id, again.secret, len(keys)) == (first.key.id, first.secret, 2)


def test_keys_are_paged_newest_first_by_merchant(harness: ApiKeyHarness) -> None:
    made = [harness.make("m1" if number % 2 else "m2").key.id for number in range(6)][::-1]
    first, rest, of_m2 = harness.do(
        list_keys,
        KeyFilter(limit=4, operators=False),
        KeyFilter(limit=4, operators=False, starting_after=made[3]),
        KeyFilter(limit=4, operators=False, merchant_id="m2"),
    )
    assert ([one.id for one in first[0]], first[1]) == (made[:4], True)
    assert ([one.id for one in rest[0]], rest[1]) == (made[4:], False)
    assert [one.id for one in of_m2[0]] == made[1::2]


def test_the_database_has_nothing_of_a_key_but_its_hash_and_its_beginning(harness: ApiKeyHarness) -> None:
    issued = harness.make()
    with harness.database.read() as transaction:
        (row,) = transaction.rows(select(api_key))
    assert row.hash == hash_secret(issued.secret.encode())
    assert row.shown == f"{issued.secret[:12]}…"
    assert not [value for value in row if isinstance(value, str) and issued.secret[12:20] in value]


@pytest.mark.parametrize("wrong", [{"hash": "sk_test_"}, {"mode": "prod"}, {"expires_at": 1}, {"replaced_by": "key_2"}])
def test_no_row_that_makes_no_sense_is_stored(harness: ApiKeyHarness, wrong: dict[str, Any]) -> None:
    row = {"id": "key_1", "merchant_id": "m1", "hash": "0" * 64, "shown": "", "mode": "test", "scopes": "admin"}
    with pytest.raises(IntegrityError), harness.database.write() as transaction:
        transaction.run(api_key.insert().values({**row, "created_at": NOW, **wrong}))


@pytest.mark.parametrize("count", [2, 3])
def test_a_page_says_that_more_lies_beyond_only_where_it_does(harness: ApiKeyHarness, count: int) -> None:
    made = [harness.make("m1").key.id for _ in range(3)][::-1]
    (keys, more_keys) = harness.do(list_keys, KeyFilter(limit=count, operators=False))[0]
    (merchants, more_merchants) = harness.do(list_merchants, MerchantFilter(count - 1))[0]
    assert ([one.id for one in keys], more_keys) == (made[:count], count < 3)
    assert ([one.id for one in merchants], more_merchants) == (["m1", "m2"][: count - 1], count < 3)


def test_an_operators_keys_are_listed_for_its_own_shell_beside_the_merchants(harness: ApiKeyHarness) -> None:
    merchants, operators = harness.make("m1").key.id, harness.make(OPERATOR).key.id
    everybodys, of_operator, of_merchant = harness.do(
        list_keys,
        KeyFilter(limit=10, operators=True),
        KeyFilter(limit=10, operators=True, merchant_id=OPERATOR),
        KeyFilter(limit=10, operators=False, merchant_id=OPERATOR),
    )
    assert [one.id for one in everybodys[0]] == [operators, merchants]
    assert [one.id for one in of_operator[0]] == [operators]
    assert of_merchant == ([], False)


def test_each_of_a_batch_has_its_own_outcome_in_its_own_place(harness: ApiKeyHarness) -> None:
    outcomes = harness.do(create_keys, new_key("m1"), new_key("nobody"), new_key("m2"))
    assert [getattr(getattr(one, "key", None), "merchant_id", None) for one in outcomes] == ["m1", None, "m2"]
    one, _, other = outcomes
    found = harness.do(load_keys, other.key.id, "key_none", one.key.id, other.key.id)
    assert [getattr(each, "id", None) for each in found] == [other.key.id, None, one.key.id, other.key.id]
    assert isinstance(found[1], KeyNotFound)
    known = harness.do(load_merchants, "m2", "m1", "m2")
    assert [one.id for one in known] == ["m2", "m1", "m2"]
    made = harness.do(create_merchants, "m1", "m9")
    assert [(one.merchant.id, one.is_new) for one in made] == [("m1", False), ("m9", True)]


def test_each_key_of_a_batch_is_revoked_and_operator_keys_only_from_the_command_line(harness: ApiKeyHarness) -> None:
    merchants, operators = harness.make("m1"), harness.make(OPERATOR)
    outcomes = harness.do(
        revoke_keys,
        RevokeKey(id=merchants.key.id, operators=False),
        RevokeKey(id=operators.key.id, operators=False),
        RevokeKey(id="key_none", operators=True),
    )
    assert outcomes[0].revoked_at == NOW
    assert [type(one) for one in outcomes[1:]] == [KeyNotFound] * 2
    assert harness.opens(merchants.secret, operators.secret) == [False, True]


def test_a_rotation_says_why_a_key_cannot_be_rotated(harness: ApiKeyHarness) -> None:
    revoked, expired, rotated = harness.make(), harness.make(), harness.make()
    harness.revoke(revoked.key.id)
    harness.rotate(expired.key.id, 0)
    harness.rotate(rotated.key.id, 60)
    messages = [str(harness.rotate(one.key.id)) for one in (revoked, expired, rotated)]
    assert ["revoked" in messages[0], "expired" in messages[1], "rotated before" in messages[2]] == [True] * 3


def test_revoking_a_rotated_key_keeps_its_replacement_active(harness: ApiKeyHarness) -> None:
    old = harness.make()
    new = harness.rotate(old.key.id, 60)
    revoked = harness.revoke(old.key.id)
    assert (revoked.replaced_by, revoked.expires_at, revoked.revoked_at) == (new.key.id, NOW + 60_000, NOW)
    assert harness.opens(old.secret, new.secret) == [False, True]
    assert isinstance(harness.rotate(new.key.id, 0), IssuedKey)


def test_an_active_key_has_its_remaining_time_if_it_expires(harness: ApiKeyHarness) -> None:
    old = harness.make("m1")
    new = harness.rotate(old.key.id, 60)
    harness.now += 20_000
    hashes = [hash_secret(one.secret.encode()) for one in (old, new)]
    asked_apart = harness.do(load_active_keys, hashes[:1], hashes[1:], ["0" * 64], [])
    assert [list(one) for one in asked_apart] == [hashes[:1], hashes[1:], [], []]
    assert [asked_apart[0][hashes[0]].remaining_ms, asked_apart[1][hashes[1]].remaining_ms] == [40_000, None]


def test_on_postgresql_at_two_processes_a_key_is_replaced_once(migrated_postgres_url: str) -> None:
    harness = ApiKeyHarness(migrated_postgres_url)
    harness.do(create_merchants, "m1")
    others = [
        open_database(parse_database_url(migrated_postgres_url), clock=lambda: NOW, exclusive=False) for _ in range(4)
    ]
    with closing(harness.database), ThreadPoolExecutor(len(others)) as at_once:
        for _ in range(5):
            old = harness.make("m1")

            def rotate(database: Database, key_id: str = old.key.id) -> object:
                with database.write() as transaction:
                    return rotate_keys(transaction, [rotation(key_id, 60)])[0]

            outcomes = list(at_once.map(rotate, others))
            assert sorted(type(one).__name__ for one in outcomes) == ["IssuedKey"] + ["KeyNotActive"] * 3
        for other in others:
            other.close()
