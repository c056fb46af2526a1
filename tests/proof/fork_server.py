"""A fork server for child processes that crash: it has imported everything, has no threads, and forks a child for each
request.

A new interpreter takes two seconds; a fork takes milliseconds. Requests and responses are lines of JSON.
"""

import gc
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final

# What the children need, without paidonce itself: a child may be told to take that from another folder.
WARM: Final = (
    "alembic.command",
    "asyncio",
    "cryptography.hazmat.primitives.ciphers.aead",
    "iso4217",
    "msgspec",
    "psycopg",
    "pysqlite3.dbapi2",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "structlog",
    "uuid_utils",
)
HOT: Final = ("tests.proof.child", "tests.proof.receivers", "alembic.config")
CHILD_SECONDS_MAX: Final = 180  # The alarm kills a child that hangs: its status is then -14.


def main() -> None:
    """Fork a child for each line of standard input. With the argument ``hot``, paidonce is imported before."""
    for name in (*WARM, *(HOT if "hot" in sys.argv[1:] else ())):
        importlib.import_module(name)
    gc.freeze()  # So that the children share what they never change.
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(_rehearse(request) if request["rehearsal"] else _fork(request)) + "\n")
        sys.stdout.flush()


def _rehearse(request: dict[str, Any]) -> dict[str, Any]:
    """Run a function in the fork server itself. What it leaves in memory is shared with all later children."""
    _function(request)(**request["arguments"])
    assert threading.active_count() == 1, "a thread would be missing in the children"
    gc.collect()
    gc.freeze()
    return {"status": 0, "result": None}


def _fork(request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child_main(request, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "result": json.loads(data) if data else None}


def _child_main(request: dict[str, Any], writing: int) -> None:
    """Run the child process: call the function, return its result, and exit at once."""
    status = 1
    try:
        signal.alarm(CHILD_SECONDS_MAX)
        if request.get("source"):
            sys.path.insert(0, request["source"])
        result = _function(request)(**request["arguments"])
        with os.fdopen(writing, "wb") as answer:
            answer.write(json.dumps(result).encode())
        status = 0
    except BaseException:  # noqa: BLE001 - the parent must hear of it, whatever it is
        sys.stderr.write(traceback.format_exc())
        sys.stderr.flush()
    finally:
        os._exit(status)


def _function(request: dict[str, Any]) -> Callable[..., Any]:
    module, _, name = request["function"].partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


if __name__ == "__main__":
    main()
