"""A batch that fails is halved until the item that makes it fail is alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.halving import run_by_halves


@given(st.lists(st.booleans(), min_size=1, max_size=40))
async def test_all_items_but_those_that_make_a_batch_fail_succeed_in_their_order(poisonous: list[bool]) -> None:
    done: list[int] = []
    failed: list[tuple[int, str]] = []

    async def run(items: Sequence[int]) -> None:
        if any(poisonous[item] for item in items):
            raise ValueError(str(items))
        done.extend(items)

    await run_by_halves(run, range(len(poisonous)), failed=lambda item, error: failed.append((item, str(error))))
    assert done == [item for item, is_bad in enumerate(poisonous) if not is_bad]
    assert [item for item, _ in failed] == [item for item, is_bad in enumerate(poisonous) if is_bad]


@pytest.mark.parametrize("error", [DatabaseUnavailable(), Overloaded()])
async def test_what_no_item_causes_is_raised_at_once(error: Exception) -> None:
    sizes: list[int] = []

    async def run(items: Sequence[int]) -> None:
        sizes.append(len(items))
        raise error

    with pytest.raises(type(error)):
        await run_by_halves(run, range(8), failed=lambda item, error: pytest.fail(f"{item}: {error}"))
    assert sizes == [8]


async def test_a_batch_without_a_defect_is_one_call() -> None:
    sizes: list[int] = []

    async def run(items: Sequence[int]) -> None:
        sizes.append(len(items))

    await run_by_halves(run, range(8), failed=lambda item, error: pytest.fail(f"{item}: {error}"))
    assert sizes == [8]


@given(st.lists(st.booleans(), min_size=1, max_size=40))
async def test_items_of_a_lost_node_are_left_out_and_all_others_are_run(are_lost: list[bool]) -> None:
    done: list[int] = []

    async def run(items: Sequence[int]) -> None:
        if any(are_lost[item] for item in items):
            raise DatabaseUnavailable(is_of_one_node=True)
        done.extend(items)

    await run_by_halves(run, range(len(are_lost)), failed=lambda item, error: pytest.fail(f"{item}: {error}"))
    assert done == [item for item, is_lost in enumerate(are_lost) if not is_lost]
