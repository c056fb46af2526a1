"""``paidonce review``: what waits for a proof, as commands list it, and what a person found out about it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from paidonce.cli import main
from paidonce.database.schema import attempt
from tests.support.in_process_service import NOW, InProcessService, Json, open_in_process_service

Run = Callable[..., Result]
HOUR_MS: Final = 3_600_000


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


@pytest.fixture
def run(inside: InProcessService, migrated_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command beside the service that has the database."""
    del inside
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        main, ["review", *arguments], env={"DATABASE_URL": migrated_database_url}
    )


async def stuck(inside: InProcessService, status: str) -> Json:
    """A payment in progress whose attempt has this status; returns its checkout."""
    checkout = await inside.paying()
    due_at = None if status == "NEEDS_REVIEW" else NOW + HOUR_MS
    with inside.service.database.write() as transaction:
        wanted = attempt.c.id == checkout["attempt"]["id"]
        transaction.run(update(attempt).where(wanted).values(status=status, due_at=due_at))
    return checkout


def audited(inside: InProcessService) -> list[tuple[object, ...]]:
    """Return the merchant, the type, the actor, the subject, the detail and the outcome of each entry."""
    return [row[1:7] for row in inside.rows()["audit_entry"]]


async def test_what_waits_is_listed_for_people_and_in_the_json_of_the_api(inside: InProcessService, run: Run) -> None:
    assert run("list").output == "No attempt has an unknown outcome.\n"
    unknown, waiting = await stuck(inside, "UNKNOWN"), await stuck(inside, "NEEDS_REVIEW")
    shown = run("list").output
    assert "2 with an unknown outcome" in shown
    assert shown.index(waiting["attempt"]["id"]) < shown.index(unknown["attempt"]["id"])
    answers = [(await inside.get("/attempts", status=status)).json() for status in ("NEEDS_REVIEW", "UNKNOWN")]
    assert json.loads(run("list", "--json").output) == [one for answer in answers for one in answer["data"]]


async def test_whoever_asks_the_provider_is_told_which_account_it_is_and_of_which_merchant(
    inside: InProcessService, run: Run
) -> None:
    checkout = await stuck(inside, "NEEDS_REVIEW")
    with inside.service.database.write() as transaction:
        transaction.run(update(attempt).values(provider="fake", account_id="pac_1"))
    assert f"fake/pac_1  {inside.merchant_id}  {checkout['id']}  look-ups: 0" in run("list").output


@pytest.mark.parametrize(
    ("found", "status", "detail"),
    [
        (("--succeeded", "ch_7"), "COMPLETED", '{"outcome":"SUCCEEDED","reference":"ch_7"}'),
        (("--declined", "expired_card"), "FAILED", '{"outcome":"DECLINED","declineCode":"expired_card"}'),
    ],
)
async def test_an_outcome_that_a_person_found_out_ends_the_payment_and_is_in_the_audit_log(
    inside: InProcessService, run: Run, found: tuple[str, str], status: str, detail: str
) -> None:
    checkout = await stuck(inside, "NEEDS_REVIEW")
    attempt_id = checkout["attempt"]["id"]
    assert run("resolve", attempt_id, *found).exit_code == 0
    assert (await inside.get(f"/checkouts/{checkout['id']}")).json()["status"] == status
    assert audited(inside) == [
        (inside.merchant_id, "resolve_attempt", "command line", attempt_id, detail, "done"),
    ]


async def test_an_outcome_that_is_known_or_of_no_attempt_changes_and_records_nothing(
    inside: InProcessService, run: Run
) -> None:
    checkout = await stuck(inside, "NEEDS_REVIEW")
    attempt_id = checkout["attempt"]["id"]
    assert run("resolve", attempt_id).exit_code == 2
    missing = run("resolve", f"att_{'0' * 26}", "--declined", "x")
    assert (missing.exit_code, "paidonce review list" in missing.output) == (1, True)
    assert audited(inside) == []
    assert run("resolve", attempt_id, "--succeeded", "ch_7").exit_code == 0
    refused = run("resolve", attempt_id, "--declined", "expired_card")
    assert (refused.exit_code, len(audited(inside))) == (1, 1)
    assert (await inside.get(f"/checkouts/{checkout['id']}")).json()["status"] == "COMPLETED"
