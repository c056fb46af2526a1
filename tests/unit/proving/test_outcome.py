import msgspec
import pytest

from paidonce.proving.outcome import Outcome, Verdict
from paidonce.proving.report import render
from paidonce.proving.violations import Violations

NONE = Violations(charged_twice=[], lost=[], stuck=[], wrong=[])
GOOD = Outcome(
    command="paidonce prove --seed 1",
    seed=1,
    provider="the simulator",
    database="SQLite",
    seconds=75,
    struck_seconds=60,
    checkouts=9,
    payments=9,
    requests=99,
    repeats=3,
    kills=5,
    writer_kills=2,
    stops=1,
    down_seconds=2.5,
    statuses={"COMPLETED": 9},
    methods={"tok_success": 9},
    faults={"slow": 2},
    missing=[],
    charges=9,
    refunds=0,
    end_seconds=1.0,
    end_seconds_max=9.0,
    unexpected=[],
    violations=NONE,
)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.KEPT),
        ({"violations": msgspec.structs.replace(NONE, charged_twice=["chk_1: 2 charges"])}, Verdict.BROKEN),
        ({"unexpected": ["POST /checkouts: 500"]}, Verdict.BROKEN),
        ({"end_seconds": 9.1}, Verdict.BROKEN),
        ({"missing": ["booked_late"]}, Verdict.NOT_PROVEN),
        ({"missing": ["booked_late"], "unexpected": ["GET /: 500"]}, Verdict.BROKEN),
        ({"missing": ["booked_late"], "struck_seconds": 12}, Verdict.KEPT),
        ({"kills": 0}, Verdict.NOT_PROVEN),
        ({"payments": 0}, Verdict.NOT_PROVEN),
    ],
)
def test_a_promise_is_kept_only_where_nothing_is_broken_and_everything_was_tried(
    changed: dict[str, object], verdict: Verdict
) -> None:
    outcome = msgspec.structs.replace(GOOD, **changed)
    assert outcome.verdict is verdict
    assert ("GUARANTEE WAS VIOLATED" in render(outcome)) == (verdict is Verdict.BROKEN)


def test_the_report_names_what_never_came_about() -> None:
    report = render(msgspec.structs.replace(GOOD, missing=["booked_late", "tok_timeout_then_decline"]))
    assert "did not occur: booked_late" in report
    assert "did not occur: tok_timeout_then_decline" in report
