"""Passwords: what is accepted, and their hashes, which are made in threads of their own.

Argon2id with 19 MiB and two passes is the first choice of the OWASP Password Storage Cheat Sheet. A hash takes about
40 ms and, at most two at a time, 38 MiB; more log-ins wait, and too many are refused.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from unicodedata import normalize

from paidonce.errors import Overloaded
from paidonce.ids import secret_bytes

MEMORY_KIB: Final = 19_456
ITERATIONS: Final = 2
LANES: Final = 1
HASH_BYTES: Final = 32
SALT_BYTES: Final = 16
THREADS: Final = 2
WAITING_MAX: Final = 32

T = TypeVar("T")

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 200

# Verified where there is no user or no password, so that the answer takes as long. Nobody knows a password for it.
NOBODYS_HASH: Final = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}"
    "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


def check_password(password: str, email: str) -> str | None:
    """Return a sentence that says why a password is refused; None where it is accepted."""
    if len(password) < LENGTH_MIN:
        return f"A password has {LENGTH_MIN} characters or more. Several words are easier to remember than signs."
    if len(set(password)) < LENGTH_MIN // 2:
        return "This password repeats too few characters."
    if email.partition("@")[0].lower() in password.lower():
        return "A password must not contain your e-mail address."
    return None


class PasswordHasher:
    """Hashes and verifies passwords beside the event loop. Raises Overloaded where too many are waiting."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a password, as a PHC string."""
        return await self._run(_hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether a password is the one of a hash. Without a hash the answer is no, and takes as long."""
        return await self._run(_verify, password, hashed or NOBODYS_HASH) and hashed is not None

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise Overloaded
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self._waiting -= 1


def _hash(password: str) -> str:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    salt = secret_bytes(SALT_BYTES)
    kdf = Argon2id(salt=salt, length=HASH_BYTES, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB)
    return kdf.derive_phc_encoded(_encoded(password))


def _verify(password: str, hashed: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(_encoded(password), hashed)
    except InvalidKey:
        return False
    return True


def _encoded(password: str) -> bytes:
    """Encode a password so that every keyboard's way to write the same letters gives the same bytes."""
    return normalize("NFKC", password).encode()
