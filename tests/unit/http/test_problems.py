"""Every error that a request can meet has an answer, and each answer one meaning."""

from paidonce.errors import IdempotencyKeyInUse, PaidonceError, TooManyRedeliveries
from paidonce.http.problems import PROBLEM_TYPES, PROCESS_ERRORS

PASSING = {IdempotencyKeyInUse, TooManyRedeliveries}  # What is under way ends.


def test_every_error_has_an_answer_or_ends_the_process() -> None:
    assert set(PaidonceError.__subclasses__()) == PROBLEM_TYPES.keys() | PROCESS_ERRORS


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in PaidonceError.__subclasses__()]
    assert len(set(codes)) == len(codes)


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {kind.code for kind, answer in PROBLEM_TYPES.items() if kind.retryable} == {
        # 501 passes when an operator has done something, not by itself.
        kind.code
        for kind, answer in PROBLEM_TYPES.items()
        if answer.status in (408, 429) or (answer.status >= 500 and answer.status != 501) or kind in PASSING
    }
