"""The SQL statements for idempotency keys, on both databases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final
from unittest.mock import patch

import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from paidonce.clock import Instant
from paidonce.database.citus.shards import SHARDS, NeedsCoordinator
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import idempotency_key, merchant
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.idempotency import store
from paidonce.idempotency.model import Claim, IdempotencyRecord, ScopedKey, StoredResponse
from tests.support.databases import make_schema, use_statements_for_citus, without_indexes

NOW: Final = 1_700_000_000_000


class Keys:
    """A database with a clock that stands still until it is moved."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.url = url
        self.database: Database = open_database(parse_database_url(url), clock=lambda: self.now)
        make_schema(self.database)

    def do(self, statement: Callable[..., Any], *given: Any, **named: Any) -> Any:  # noqa: ANN401 - any statement's
        with self.database.write() as transaction:
            return statement(transaction, *given, **named)

    def claim(self, *claims: Claim) -> set[ScopedKey]:
        claimed, held = self.do(store.claim_keys, claims)
        assert held == set()
        return claimed  # type: ignore[no-any-return]

    def record(self, merchant_id: str = "m", key: str = "k") -> IdempotencyRecord | None:
        name = scoped(merchant_id, key)
        found: dict[ScopedKey, IdempotencyRecord] = self.do(store.read_records, [name])
        return found.get(name)


def scoped(merchant_id: str, key: str, mode: str = "test") -> ScopedKey:
    return ScopedKey(merchant_id, mode, key)


def claim(merchant_id: str = "m", key: str = "k", mode: str = "test", **changed: Any) -> Claim:  # noqa: ANN401 - any field's
    defaults = {"id": "clm_1", "path": "/a", "fields": {"x": "1"}, "retention_ms": 1000}
    return Claim(name=scoped(merchant_id, key, mode), **{**defaults, **changed})


@pytest.fixture
def keys(migrated_database_url: str) -> Iterator[Keys]:
    opened = Keys(migrated_database_url)
    yield opened
    opened.database.close()


def test_a_claim_is_kept_as_it_was_made_and_then_answered(keys: Keys) -> None:
    keys.claim(claim(id="clm_7", path="/refunds", fields={"a": "1", "b": "2"}, request_id="req_1", secret="sealed"))
    claimed = IdempotencyRecord(
        merchant_id="m",
        mode="test",
        key="k",
        claim_id="clm_7",
        path="/refunds",
        fields='{"a":"1","b":"2"}',
        status=None,
        resource=None,
        attempt_id=None,
        request_id="req_1",
        created_at=NOW,
        expires_at=NOW + 1000,
        secret="sealed",
        answer=None,
    )
    assert keys.record() == claimed
    told = StoredResponse(202, "/refunds/1", "ref_1", answer='{"a":"é \\"quoted\\""}')
    keys.do(store.store_responses, [(scoped("m", "k"), told)])
    assert keys.record() == msgspec.structs.replace(
        claimed, status=202, resource="/refunds/1", attempt_id="ref_1", answer=told.answer
    )


def test_an_answer_is_kept_for_its_own_key_of_its_own_merchant(keys: Keys) -> None:
    keys.claim(claim(), claim("other"), claim(key="other"))
    keys.do(
        store.store_responses,
        [(scoped("m", "k"), StoredResponse(200, "/mine")), (scoped("other", "k"), StoredResponse(201, "/theirs"))],
    )
    found = [keys.record(*name) for name in (("m", "k"), ("other", "k"), ("m", "other"), ("other", "other"))]
    assert [one and (one.status, one.resource) for one in found] == [
        (200, "/mine"),
        (201, "/theirs"),
        (None, None),
        None,
    ]


def test_a_key_is_claimed_once_and_each_merchants_apart(keys: Keys) -> None:
    assert keys.claim(claim(id="clm_1"), claim("other")) == {scoped("m", "k"), scoped("other", "k")}
    assert keys.claim(claim(id="clm_2"), claim(key="new")) == {scoped("m", "new")}
    kept = keys.record()
    assert kept is not None
    assert kept.claim_id == "clm_1"


def test_a_claim_that_the_database_refuses_is_an_error_and_not_a_key_in_use(keys: Keys) -> None:
    with pytest.raises(IntegrityError):
        keys.do(store.claim_keys, [claim(path=None)])


@pytest.fixture
def postgres_keys(migrated_postgres_url: str) -> Iterator[Keys]:
    opened = Keys(migrated_postgres_url)
    yield opened
    opened.database.close()


def test_on_postgresql_free_locked_and_stored_keys_are_told_apart(postgres_keys: Keys) -> None:
    postgres_keys.claim(claim(key="stored"))
    with postgres_keys.database.write() as stalled:
        store.claim_keys(stalled, [claim(key="locked")])
        # Another process, with a connection of its own.
        with (
            closing(open_database(parse_database_url(postgres_keys.url), clock=lambda: NOW)) as other,
            other.write() as transaction,
        ):
            found = store.claim_keys(transaction, [claim(key=key, id="clm_2") for key in ("free", "locked", "stored")])
    assert found == ({scoped("m", "free")}, {scoped("m", "locked")})


def test_on_postgresql_a_claim_limits_the_wait_for_a_lock_only_while_it_claims(postgres_keys: Keys) -> None:
    with postgres_keys.database.write() as transaction:
        before = transaction.rows(text("SHOW lock_timeout"))
        store.claim_keys(transaction, [claim()])
        assert transaction.rows(text("SHOW lock_timeout")) == before


def test_on_a_node_of_a_cluster_keys_are_claimed_on_the_shards_of_their_merchants(keys: Keys) -> None:
    merchants: list[str | None] = []

    class Shards:
        """Those of a node that stores none of these merchants."""

        def group(self, rows: Sequence[Any], merchant_of: Callable[[Any], str | None]) -> None:
            merchants.extend(map(merchant_of, rows))
            raise NeedsCoordinator

    def claim_on_node() -> None:
        with keys.database.write() as transaction, patch.dict(transaction.connection.info, {SHARDS: Shards()}):
            store.claim_keys(transaction, [claim("m1"), claim("m2")])

    with pytest.raises(NeedsCoordinator):
        claim_on_node()
    assert merchants == ["m1", "m2"]


def test_a_key_that_is_forgotten_is_free_again_and_no_other_is(keys: Keys) -> None:
    keys.claim(claim(), claim("other"), claim(key="other"))
    keys.do(store.delete_keys, [scoped("m", "k"), scoped("nobody", "k")])
    with keys.database.read() as transaction:
        left = {tuple(row) for row in transaction.rows(select(idempotency_key.c.merchant_id, idempotency_key.c.key))}
    assert left == {("other", "k"), ("m", "other")}
    assert keys.claim(claim()) == {scoped("m", "k")}


def test_keys_are_forgotten_from_the_very_end_of_their_time_the_oldest_first_and_at_most_so_many(keys: Keys) -> None:
    keys.claim(
        claim(key="late", retention_ms=1001),
        claim("z", "early", retention_ms=999),
        claim("b", "soon", retention_ms=1000),
    )
    keys.now = NOW + 998
    assert keys.do(store.delete_expired, 10) == 0
    keys.now = NOW + 1000
    assert keys.do(store.delete_expired, 1) == 1
    assert keys.record("z", "early") is None
    assert keys.record("b", "soon") is not None
    assert keys.do(store.delete_expired, 10) == 1
    assert keys.record("m", "late") is not None
    assert keys.do(store.delete_expired, 10) == 0


def test_the_longest_expired_keys_are_deleted_first_whatever_index_there_is(keys: Keys) -> None:
    for number in range(5):
        keys.claim(claim(key=str(number), retention_ms=1000 - number))
    keys.now = NOW + 1000
    with without_indexes(keys.database, idempotency_key) as transaction:
        assert store.delete_expired(transaction, 2) == 2
        left = store.read_records(transaction, [scoped("m", str(number)) for number in range(5)])
    assert sorted(left) == [scoped("m", "0"), scoped("m", "1"), scoped("m", "2")]


def test_on_postgresql_the_statements_for_citus_claim_what_is_new_beside_what_is_there(postgres_keys: Keys) -> None:
    use_statements_for_citus(postgres_keys.database)
    with postgres_keys.database.writes.begin() as connection:
        connection.execute(
            merchant.insert(), {"id": "known", "event_sequence": 0, "live_event_sequence": 0, "created_at": NOW}
        )
    assert postgres_keys.claim(claim("known", "1")) == {scoped("known", "1")}
    claimed = postgres_keys.claim(claim("known", "1"), claim("known", "2"), claim("new", "1"))
    assert claimed == {scoped("known", "2"), scoped("new", "1")}


def test_on_postgresql_secrets_are_read_in_the_order_of_their_keys_whatever_the_plan(postgres_keys: Keys) -> None:
    names = [scoped("b", "2"), scoped("a", "2", "live"), scoped("b", "1"), scoped("a", "1")]
    for name in names:
        postgres_keys.claim(claim(name.merchant_id, name.key, name.mode, secret="sealed"))
    with postgres_keys.database.write() as transaction:
        transaction.connection.execute(text("SET LOCAL enable_seqscan = on"))
        transaction.connection.execute(text("SET LOCAL enable_indexscan = off"))
        transaction.connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        assert list(store.read_secrets(transaction, after=ScopedKey("", "", ""), limit=3)) == sorted(names)[:3]


def test_kept_secrets_are_read_in_the_order_of_their_keys_from_behind_a_key(keys: Keys) -> None:
    names = [scoped("a", "2", "live"), scoped("b", "1"), scoped("a", "1"), scoped("b", "2")]
    keys.claim(claim("a", "3"))
    for name in names:
        keys.claim(claim(name.merchant_id, name.key, name.mode, secret=f"sealed {name}"))
    in_order = sorted(names)
    first = keys.do(store.read_secrets, after=ScopedKey("", "", ""), limit=3)
    rest = keys.do(store.read_secrets, after=in_order[2], limit=3)
    assert list(first.items()) == [(name, f"sealed {name}") for name in in_order[:3]]
    assert list(rest.items()) == [(in_order[3], f"sealed {in_order[3]}")]
    assert keys.do(store.read_secrets, after=in_order[3], limit=3) == {}


def test_a_secret_is_replaced_where_it_is_still_the_one_that_was_read(keys: Keys) -> None:
    keys.claim(claim(secret="1"), claim("other", secret="1"), claim(key="other", secret="1"), claim("m2", secret="2"))
    keys.do(store.replace_secrets, [(scoped("m", "k"), "1", "new"), (scoped("m2", "k"), "1", "new")])
    secrets = keys.do(store.read_secrets, after=ScopedKey("", "", ""), limit=10)
    assert {(name.merchant_id, name.key): secret for name, secret in secrets.items()} == {
        ("m", "k"): "new",
        ("m", "other"): "1",
        ("m2", "k"): "2",
        ("other", "k"): "1",
    }


@pytest.mark.parametrize("wrong", [{"status": 200}, {"resource": "/a"}])
def test_no_answer_is_stored_by_half(keys: Keys, wrong: dict[str, Any]) -> None:
    keys.claim(claim())

    def change(transaction: Transaction) -> None:
        transaction.run(idempotency_key.update().values(**wrong))

    with pytest.raises(IntegrityError):
        keys.do(change)
