"""Bisection of a failing batch: the item that makes it fail fails alone, and all others succeed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from paidonce.errors import DatabaseUnavailable, Overloaded

Item = TypeVar("Item")


async def run_by_halves(
    run: Callable[[Sequence[Item]], Awaitable[None]],
    items: Sequence[Item],
    *,
    failed: Callable[[Item, Exception], None],
) -> None:
    """Run a batch; where a defect makes it fail, run each half of it, until the item that fails is alone.

    ``failed`` is called with that item and its exception. DatabaseUnavailable and Overloaded are raised: no item is
    their cause. Where a node of a distributed database is lost, the items of other nodes are run, and its own are left
    out.
    """
    try:
        await run(items)
    except Overloaded:
        raise
    except DatabaseUnavailable as error:
        if not error.is_of_one_node:
            raise
        if len(items) > 1:
            middle = len(items) // 2
            await run_by_halves(run, items[:middle], failed=failed)
            await run_by_halves(run, items[middle:], failed=failed)
    except Exception as error:  # noqa: BLE001 - it is raised for the whole batch, or handed to ``failed``
        if len(items) == 1:
            failed(items[0], error)
            return
        middle = len(items) // 2
        await run_by_halves(run, items[:middle], failed=failed)
        await run_by_halves(run, items[middle:], failed=failed)
