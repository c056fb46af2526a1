"""ARCHITECTURE.md names the files of a create in the order in which a request passes them."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import paidonce
from tests.support.in_process_service import open_in_process_service

SOURCE = Path(paidonce.__file__).parent
ARCHITECTURE = Path(__file__).parent.parent / "ARCHITECTURE.md"


@contextmanager
def recorded_files() -> Iterator[list[str]]:
    """Record which files of the source are entered: by this thread, and by threads that are started meanwhile."""
    entered: list[str] = []

    def record(frame: FrameType, event: str, _argument: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{SOURCE}/"):
            entered.append(path.removeprefix(f"{SOURCE}/"))

    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def test_a_create_passes_a_dozen_files_in_the_order_in_which_the_architecture_names_them(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    section = ARCHITECTURE.read_text().partition("read these files in this order:")[2].partition("\n\n")[0]
    named = re.findall(r"`([\w/]+\.py)`", section)
    assert 10 <= len(named) <= 12
    with recorded_files() as entered:
        async with open_in_process_service(migrated_sqlite_url, str(tmp_path)) as running:
            await running.checkout()  # Everything is loaded now.
            entered.clear()
            await running.checkout()
            passed = list(dict.fromkeys(entered))
    assert [one for one in passed if one in named] == named
