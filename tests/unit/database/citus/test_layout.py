"""Where tables belong on a Citus cluster: what holds without one."""

from sqlalchemy import ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint

from paidonce.database.citus.layout import (
    APART,
    COORDINATOR_TABLES,
    DISTRIBUTION_COLUMNS,
    FIRST_TABLE,
    REFERENCE_TABLES,
    Kind,
    Place,
    left_local,
    misplaced,
    tables_in_order,
)
from paidonce.database.schema import metadata


def test_every_table_has_exactly_one_place() -> None:
    places = [*DISTRIBUTION_COLUMNS, *COORDINATOR_TABLES, *REFERENCE_TABLES]
    assert sorted(places) == sorted([*metadata.tables, "alembic_version"])
    assert set(DISTRIBUTION_COLUMNS) > APART


def test_every_table_with_a_merchant_in_its_primary_key_is_distributed_by_merchant() -> None:
    of_merchants = {name for name, table in metadata.tables.items() if "merchant_id" in table.primary_key.columns}
    assert {name: DISTRIBUTION_COLUMNS.get(name) for name in of_merchants} == dict.fromkeys(of_merchants, "merchant_id")


def unique_columns(table: Table) -> list[set[str]]:
    constraints = [one for one in table.constraints if isinstance(one, PrimaryKeyConstraint | UniqueConstraint)]
    indexes = [index for index in table.indexes if index.unique]
    return [{column.name for column in one.columns} for one in [*constraints, *indexes]]


def test_what_is_unique_in_a_distributed_table_contains_its_distribution_column() -> None:
    wrong = [
        (name, columns)
        for name, column in DISTRIBUTION_COLUMNS.items()
        for columns in unique_columns(metadata.tables[name])
        if column not in columns
    ]
    assert wrong == []


def test_foreign_keys_stay_inside_of_a_shard_or_of_the_coordinator() -> None:
    keys = [
        (table.name, key)
        for table in metadata.tables.values()
        for key in table.constraints
        if isinstance(key, ForeignKeyConstraint)
    ]
    assert keys
    for name, key in keys:
        other = key.referred_table.name
        if name in COORDINATOR_TABLES:
            assert other in COORDINATOR_TABLES
        else:
            pairs = {(one.parent.name, one.column.name) for one in key.elements}
            assert (DISTRIBUTION_COLUMNS[name], DISTRIBUTION_COLUMNS[other]) in pairs


def test_each_table_is_distributed_after_those_whose_shards_it_shares_or_that_its_foreign_keys_name() -> None:
    order = tables_in_order()
    assert sorted(order) == sorted([*metadata.tables, "alembic_version"])
    assert all(order.index(FIRST_TABLE) < order.index(name) for name in DISTRIBUTION_COLUMNS if name != FIRST_TABLE)
    for table in metadata.tables.values():
        for key in table.foreign_keys:
            assert order.index(key.column.table.name) < order.index(table.name)


IN_PLACE = {
    "merchant": Place(Kind.DISTRIBUTED, "id", 2, 32),
    "checkout": Place(Kind.DISTRIBUTED, "merchant_id", 2, 32),
    "provider_webhook": Place(Kind.DISTRIBUTED, "id", 3, 32),
    "audit_entry": Place(Kind.COORDINATOR),
    "alembic_version": Place(Kind.REFERENCE, None, 1, 1),
}


def test_what_is_as_it_has_to_be_is_neither_left_nor_misplaced() -> None:
    assert left_local(IN_PLACE) == []
    assert misplaced(IN_PLACE) == []


def test_tables_that_a_migration_added_are_left_local_in_the_order_of_their_foreign_keys() -> None:
    new = {"attempt": Place(Kind.LOCAL), "event": Place(Kind.LOCAL), "checkout": Place(Kind.LOCAL)}
    assert left_local({**IN_PLACE, **new}) == ["checkout", "event", "attempt"]
    assert misplaced({**IN_PLACE, **new}) == []


def test_a_table_that_was_distributed_in_another_way_is_misplaced() -> None:
    others = {
        "event": Place(Kind.DISTRIBUTED, "id", 2, 32),  # by another column
        "attempt": Place(Kind.DISTRIBUTED, "merchant_id", 4, 32),  # beside other tables
        "provider_webhook": Place(Kind.DISTRIBUTED, "id", 2, 32),  # with the tables of merchants
        "dispute": Place(Kind.REFERENCE, None, 1, 1),  # on each node
        "audit_entry": Place(Kind.DISTRIBUTED, "id", 3, 32),
        "alembic_version": Place(Kind.COORDINATOR),
    }
    assert set(misplaced({**IN_PLACE, **others})) == set(others)
