"""What bounds log-in attempts, in each process: for each client address, for each account, and in total.

An attempt is counted before anything is looked up, so a refusal says nothing about whether a user exists.
"""

import time
from typing import Final

from paidonce.errors import RateLimited
from paidonce.http.client_addresses import client_address
from paidonce.http.token_buckets import Policy, Stopwatch, TokenBuckets
from paidonce.users.passwords import PasswordHasher

PER_ACCOUNT: Final = Policy("account", 1 / 60, 10)  # Ten at once, then one a minute.
PER_ADDRESS: Final = Policy("address", 1 / 10, 30)  # Several people behind one address.
TOTAL: Final = Policy("total", 5, 100)  # A hash takes 40 ms of a core.


class LogInGuard:
    """The limits of log-in attempts, and the hasher of passwords, of one process."""

    def __init__(self, stopwatch: Stopwatch = time.monotonic_ns) -> None:
        self.passwords = PasswordHasher()
        self._buckets = [TokenBuckets(one, stopwatch) for one in (PER_ADDRESS, PER_ACCOUNT, TOTAL)]

    def admit(self, account: str, address: str) -> None:
        """Count an attempt to log in to an account, which an e-mail address or a link names; raises RateLimited.

        The address comes first: what is refused for it uses up the attempts of no account, and no room for accounts.
        """
        for buckets, name in zip(self._buckets, (client_address(address), account, ""), strict=True):
            wait_seconds, _ = buckets.take(name)
            if wait_seconds:
                raise RateLimited(
                    wait_seconds, "There were too many attempts to log in. Wait a few minutes, or use a one-time link."
                )
