"""Calls receivers of webhooks from the process under test itself.

The service starts a process for these calls, which takes several times as long as a story. No crash point is in it.
tests/unit/webhook_endpoints/test_receiver_process_client.py tests what follows when it ends.
"""

import aiohttp

from paidonce.webhook_endpoints import service
from paidonce.webhook_endpoints.receiver_client import ReceiverClient
from paidonce.webhook_endpoints.receiver_messages import ReceiverSettings


class InProcessReceiverClient(ReceiverClient):
    """Takes the place of ReceiverProcessClient. Receivers have loopback addresses: no name is looked up."""

    def __init__(self, settings: ReceiverSettings) -> None:
        super().__init__(settings, aiohttp.ThreadedResolver())

    async def stop(self) -> None:
        await self.close()


def call_receivers_in_process() -> None:
    """Let services of this process call receivers themselves."""
    vars(service)["ReceiverProcessClient"] = InProcessReceiverClient
