"""What the connections of one server share."""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

from paidonce.clock import Instant
from paidonce.concurrency import ConcurrencyPerName
from paidonce.errors import PaidonceError
from paidonce.web.proxies import Proxies
from paidonce.web.reply import Channel, Reply
from paidonce.web.request import Request

if TYPE_CHECKING:
    from paidonce.web.connection import Connection


class Clients:
    """Who answers them, what each may take, and who is there.

    ``tell`` writes a refusal as a reply; it is given the fact, the path (empty where none was read) and the answer's
    id. ``date`` is the header of that name, which ``tell_time`` brings up to date.
    """

    def __init__(
        self,
        answer: Callable[[Request, Channel], Awaitable[None]],
        tell: Callable[[PaidonceError, str, str], Reply],
        *,
        header_seconds: float,
        body_seconds: float,
        connection_limit: int,
        connections_per_address: int,
        proxies: Proxies | None = None,
    ) -> None:
        self.answer = answer
        self.tell = tell
        self.header_seconds = header_seconds
        self.body_seconds = body_seconds
        self.connection_limit = connection_limit
        self.by_address = ConcurrencyPerName(connections_per_address)
        self.proxies = proxies
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.date = b""

    def tell_time(self, now: Instant) -> None:
        """Set the date that answers bear."""
        self.date = b"date: %b\r\n" % formatdate(now // 1000, usegmt=True).encode()
