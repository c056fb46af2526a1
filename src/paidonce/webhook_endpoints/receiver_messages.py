"""The messages between a sender and the process that calls receivers, each with its length in front."""

import asyncio
from typing import Final, TypeAlias, TypeVar

import msgspec

LENGTH_BYTES: Final = 4

Message = TypeVar("Message")


class ReceiverSettings(msgspec.Struct, frozen=True):
    """How receivers are called; see the settings of the same names."""

    allow_private: bool
    timeout_seconds: float


class Answer(msgspec.Struct, frozen=True):
    """The answer of a receiver: its status, ``Retry-After`` as it was sent, and the first bytes of the body."""

    status: int
    retry_after: str | None
    beginning: bytes


class ReceiverCallFailed(Exception):
    """No answer came; the text says why, in a few words."""


class Post(msgspec.Struct, frozen=True, tag=True):
    """Post a body to a URL. ``number`` names the call in its outcome."""

    number: int
    url: str
    headers: dict[str, str]
    body: bytes


class Check(msgspec.Struct, frozen=True, tag=True):
    """Look up where a URL leads, and whether a webhook may go there."""

    number: int
    url: str
    seconds_max: float


Call: TypeAlias = Post | Check


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a call: an answer, or why there is none. ``defect`` is the traceback of an internal error."""

    number: int
    answer: Answer | None = None
    failed: str | None = None
    refused: str | None = None
    defect: str | None = None


CALLS: Final[msgspec.msgpack.Decoder[Call]] = msgspec.msgpack.Decoder(Post | Check)
OUTCOMES: Final = msgspec.msgpack.Decoder(Outcome)


def send(writer: asyncio.StreamWriter, message: Call | Outcome) -> None:
    """Send a message; what the other side does not read yet waits in this process."""
    data = msgspec.msgpack.encode(message)
    writer.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)


async def receive(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[Message]) -> Message | None:
    """Receive a message; None where the other side has ended."""
    try:
        size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        return decoder.decode(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
