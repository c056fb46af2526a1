"""Every error that a request can meet has an answer, and each answer one meaning."""

from paidonce.api.problems import ANSWERS, NOT_ANSWERED
from paidonce.errors import IdempotencyKeyInUse, PaidonceError


def test_every_error_has_an_answer_or_ends_the_process() -> None:
    assert set(PaidonceError.__subclasses__()) == ANSWERS.keys() | NOT_ANSWERED


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in PaidonceError.__subclasses__()]
    assert len(set(codes)) == len(codes)


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {kind.code for kind, answer in ANSWERS.items() if kind.retryable} == {
        kind.code
        for kind, answer in ANSWERS.items()
        # A stalled process lets go of a key as of any other lock.
        if answer.status >= 500 or answer.status == 429 or kind is IdempotencyKeyInUse
    }
