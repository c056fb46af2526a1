"""What the call of payment providers responds with."""

import msgspec


class ReceivedResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook is stored; ``id`` is its provider's."""

    id: str
