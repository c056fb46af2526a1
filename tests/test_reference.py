"""docs/reference/ and the code agree in both directions, and migrations create the schema of the code."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import click
import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.engine.interfaces import ReflectedIndex

import paidonce
from paidonce.checkouts import model as checkouts
from paidonce.cli import main
from paidonce.cli.environment import BAD_SETTINGS_EXIT
from paidonce.cli.opening import FAILURE_EXIT, USAGE_EXIT
from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.migrate import FOLDER, migrate
from paidonce.database.schema import SCHEMA_VERSION, metadata
from paidonce.database_url import parse_database_url
from paidonce.errors import CannotDistribute, InvalidSettings, PaidonceError
from paidonce.events.model import Cause, EventType
from paidonce.http.problems import PROBLEM_TYPES, PROCESS_ERRORS
from paidonce.payments import disputes, model as payments
from paidonce.provider_accounts import model as provider_accounts
from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.simulator import behaviour
from paidonce.settings import Settings, environment_name
from paidonce.webhook_endpoints import model as outbox

REFERENCE: Final = Path(__file__).parent.parent / "docs" / "reference"
NOTHING: Final = "none"


def rows(page: str, heading: str) -> list[tuple[str, ...]]:
    """Read the one table below a heading, without its head."""
    text = (REFERENCE / page).read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(lines) > 2, f"{page} has no table below {heading}"
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines[2:]]
    return [tuple(cell.strip().replace("`", "").replace(r"\|", "|") for cell in row) for row in cells]


def column(page: str, heading: str, *places: int) -> list[tuple[str, ...]]:
    return sorted(tuple(row[place] for place in places) for row in rows(page, heading))


# Settings


def shown_range(hint: object) -> str:
    """Describe the values of a setting, from its annotation."""
    kind, meta = get_args(hint)
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if kind is str:
        return "text"
    if kind is bool:
        return "true, false"
    name = "integer" if kind is int else "number"
    lowest = f"{meta.ge:g}" if meta.ge is not None else f"more than {meta.gt:g}"
    return f"{name}, {lowest} to {meta.le}" if meta.le is not None else f"{name}, {lowest} or more"


def test_every_setting_is_listed_with_its_default_and_what_it_takes() -> None:
    hints = get_type_hints(Settings, include_extras=True)
    expected = []
    for field in msgspec.structs.fields(Settings):
        assert get_origin(hints[field.name]) is Annotated
        default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        default = default.lower() if isinstance(field.default, bool) else default
        meta = get_args(hints[field.name])[1]
        expected.append((environment_name(field.name), default or NOTHING, shown_range(hints[field.name])))
        assert meta.description, f"{field.name} says nothing of itself"
    assert column("settings.md", "Settings", 0, 1, 2) == sorted(expected)


def test_every_setting_is_described_in_the_words_of_the_code() -> None:
    hints = get_type_hints(Settings, include_extras=True)
    expected = [
        (environment_name(name), get_args(hint)[1].description.replace("`", "")) for name, hint in hints.items()
    ]
    assert column("settings.md", "Settings", 0, 3) == sorted(expected)


# Commands


def commands(group: click.Group, name: str = "paidonce") -> Iterator[tuple[str, click.Command]]:
    for part, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {part}")
        else:
            yield f"{name} {part}", command


def shown_parameter(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return str(parameter.name).upper()
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def test_every_command_is_listed() -> None:
    assert column("commands.md", "Commands", 0) == sorted((name,) for name, _ in commands(main))


def test_every_option_of_every_command_is_listed() -> None:
    expected = [(name, shown_parameter(parameter)) for name, command in commands(main) for parameter in command.params]
    expected += [("paidonce", shown_parameter(parameter)) for parameter in main.params]
    assert column("commands.md", "Options and arguments", 0, 1) == sorted(expected)


# Errors


def subclasses(kind: type[PaidonceError]) -> Iterator[type[PaidonceError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_is_answered_or_ends_a_command() -> None:
    for module in pkgutil.walk_packages(paidonce.__path__, "paidonce."):
        if "__main__" not in module.name and "migrations" not in module.name:
            importlib.import_module(module.name)
    known = {kind for kind in subclasses(PaidonceError) if kind.__module__.startswith("paidonce.")}
    assert known - set(PROBLEM_TYPES) - PROCESS_ERRORS == set()
    assert set(PROBLEM_TYPES) & PROCESS_ERRORS == set()


def test_every_error_code_is_listed_with_its_status_and_whether_to_retry() -> None:
    expected = [
        (kind.code, str(answer.status), "yes" if kind.retryable else "no") for kind, answer in PROBLEM_TYPES.items()
    ]
    assert column("errors.md", "Answers", 0, 1, 2) == sorted(expected)


def test_every_error_of_a_command_is_listed_with_its_exit() -> None:
    exits: dict[type[PaidonceError], int] = {InvalidSettings: BAD_SETTINGS_EXIT, CannotDistribute: USAGE_EXIT}
    expected = [
        (kind.code, str(exits.get(kind, FAILURE_EXIT))) for kind in subclasses(PaidonceError) if kind in PROCESS_ERRORS
    ]
    assert column("errors.md", "Errors of a command", 0, 1) == sorted(expected)


# Statuses


def shown_targets(allowed: dict[Any, set[Any]]) -> list[tuple[str, str]]:
    return sorted((source.value, ", ".join(sorted(targets)) or NOTHING) for source, targets in allowed.items())


def test_every_checkout_status_is_listed_with_where_it_leads() -> None:
    assert set(checkouts.ALLOWED) == set(checkouts.CheckoutStatus)
    assert column("statuses.md", "Checkout", 0, 2) == shown_targets(checkouts.ALLOWED)


def test_every_attempt_status_is_listed_with_where_it_leads() -> None:
    assert set(payments.ALLOWED) == set(payments.AttemptStatus)
    assert column("statuses.md", "Attempt", 0, 2) == shown_targets(payments.ALLOWED)


def test_every_delivery_status_is_listed_with_where_it_leads() -> None:
    assert set(outbox.ALLOWED) == set(outbox.DeliveryStatus)
    assert column("statuses.md", "Delivery", 0, 2) == shown_targets(outbox.ALLOWED)


def test_every_status_of_a_provider_account_is_listed_with_where_it_leads() -> None:
    assert set(provider_accounts.ALLOWED) == set(provider_accounts.AccountStatus)
    assert column("statuses.md", "Provider account", 0, 2) == shown_targets(provider_accounts.ALLOWED)


def test_every_kind_of_attempt_is_listed() -> None:
    assert column("statuses.md", "Kinds of attempt", 0) == sorted((kind.value,) for kind in payments.AttemptKind)


def test_every_dispute_status_is_listed_with_where_it_leads() -> None:
    assert set(disputes.ALLOWED) == set(disputes.DisputeStatus)
    assert column("statuses.md", "Dispute", 0, 2) == shown_targets(disputes.ALLOWED)


def test_every_event_type_is_listed() -> None:
    assert column("statuses.md", "Event types", 0) == sorted((kind.value,) for kind in EventType)


def test_every_cause_is_listed() -> None:
    assert column("statuses.md", "Causes", 0) == sorted((cause.value,) for cause in Cause)


def test_every_test_payment_method_is_listed() -> None:
    by_pattern = [
        "tok_declined_<code>",
        "tok_delay_<ms>",
        "tok_redirect_declined_<code>",
        "tok_capture_within_<seconds>",
    ]
    tables = (
        behaviour.FAULTS,
        behaviour.WEBHOOK_FAULTS,
        behaviour.OTHER_AMOUNTS,
        behaviour.CHANGES_DECLINED,
        behaviour.ACCEPTED,
    )
    named = [
        *(behaviour.DEFAULT_METHOD, behaviour.REFUSED, behaviour.REPLAYED_ERROR),
        *(HOSTED_PAGE, "tok_redirect", behaviour.THREE_D_SECURE),
        *(behaviour.APPROVED_THEN_CHARGED, behaviour.WITHOUT_BUYER),
    ]
    listed = [*by_pattern, *named, *(method for table in tables for method in table)]
    assert column("statuses.md", "Test payment methods", 0) == sorted((method,) for method in listed)
    assert behaviour.session_decline_code("tok_redirect_declined_expired_card") == "expired_card"
    assert behaviour.opens_session("tok_redirect")
    assert behaviour.capture_within_ms("tok_capture_within_20") == 20_000
    assert behaviour.behaviour_of("tok_declined_expired_card", 1000).decline_code == "expired_card"
    assert behaviour.behaviour_of("tok_delay_20", 1000).latency_ms == 20


def test_every_magic_amount_is_listed() -> None:
    expected = [(f"{ending:04d}", code) for ending, code in behaviour.MAGIC_AMOUNTS.items()]
    assert column("statuses.md", "Magic amounts", 0, 1) == sorted(expected)


# The schema


def test_schema_version_is_the_newest_migration_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


def reflected(connection: Connection) -> dict[str, Any]:
    """Read the whole schema of our tables, because Alembic's comparison leaves out checks and partial indexes."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": {one["name"]: {**one, "type": str(one["type"])} for one in inspector.get_columns(table)},
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(inspector.get_foreign_keys(table), key=repr),
            "unique": sorted(inspector.get_unique_constraints(table), key=repr),
            "checks": sorted(inspector.get_check_constraints(table), key=repr),
            "indexes": {one["name"]: shown_index(one) for one in inspector.get_indexes(table)},
            "options": inspector.get_table_options(table),
        }
        for table in sorted(set(inspector.get_table_names()) - {"alembic_version"})
    }


def shown_index(index: ReflectedIndex) -> dict[str, Any]:
    options = {name: str(option) for name, option in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_migrating_makes_exactly_the_schema_that_the_code_means(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    try:
        assert migrate(database)
        assert not migrate(database)
        with database.writes.begin() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
            migrated = reflected(connection)
            metadata.drop_all(connection)
            metadata.create_all(connection)
            assert migrated == reflected(connection)
            assert sorted(migrated) == sorted(metadata.tables)
    finally:
        database.close()
