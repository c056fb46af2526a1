"""The process that calls receivers: it reads calls from its parent, does them at once, and tells what became of each.

Whatever receivers do is felt here and nowhere else. It knows neither the database nor a secret, gives way to its parent
wherever both want the processor, and ends when its parent does: then there is nothing more to read.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Final

import msgspec

from paidonce.webhook_endpoints.receiver_client import ReceiverClient, system_resolver
from paidonce.webhook_endpoints.receiver_messages import (
    CALLS,
    Call,
    Check,
    Outcome,
    ReceiverCallFailed,
    ReceiverSettings,
    receive,
    send,
)
from paidonce.webhook_endpoints.ssrf import UrlRefused

NICENESS: Final = 5
MEMORY_BYTES_MAX: Final = 256 * 1024 * 1024  # It needs a tenth of that; what would take more is a defect.


async def serve(link: socket.socket, receivers: ReceiverClient) -> None:
    """Do the calls that arrive, until the other side of ``link`` ends."""
    reader, writer = await asyncio.open_unix_connection(sock=link)
    tasks: set[asyncio.Task[None]] = set()

    async def do(call: Call) -> None:
        send(writer, await _outcome(receivers, call))

    try:
        while (call := await receive(reader, CALLS)) is not None:
            task = asyncio.create_task(do(call))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await receivers.close()
        writer.close()


async def _outcome(receivers: ReceiverClient, call: Call) -> Outcome:
    try:
        if isinstance(call, Check):
            await receivers.check(call.url, seconds_max=call.seconds_max)
            return Outcome(number=call.number)
        answer = await receivers.post(call.url, call.headers, call.body)
        return Outcome(number=call.number, answer=answer)
    except UrlRefused as error:
        return Outcome(number=call.number, refused=str(error))
    except ReceiverCallFailed as error:
        return Outcome(number=call.number, failed=str(error))
    except Exception:  # noqa: BLE001 - the parent logs it: this process has no log of its own
        return Outcome(number=call.number, failed="the sender failed", defect=traceback.format_exc())


async def _main(link: socket.socket, settings: ReceiverSettings) -> None:
    await serve(link, ReceiverClient(settings, system_resolver()))


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM):  # They go to the whole group: it is the parent who says when.
        signal.signal(name, signal.SIG_IGN)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    asyncio.run(_main(socket.socket(fileno=int(sys.argv[1])), msgspec.json.decode(sys.argv[2], type=ReceiverSettings)))
    os._exit(0)  # Nothing is left to be done, and no thread of a library is waited for.
