"""A story about API keys: whatever crashes while keys are created, rotated and revoked, an acknowledged key is valid
or ended.
"""

import asyncio
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from paidonce import ids
from paidonce.cli.keys import create_merchant
from paidonce.merchants.actions import (
    IssuedKey,
    NewKey,
    RevokeKey,
    RotateKey,
    create_keys,
    create_merchants,
    revoke_keys,
    rotate_keys,
)
from paidonce.merchants.model import MERCHANT_SCOPES, Mode
from paidonce.merchants.secret import RANDOM_LENGTH
from tests.proof.buyer import Buyer


async def keys_desk(buyer: Buyer) -> None:
    """An operator creates a key for a merchant, rotates it, and revokes both."""
    writer, api_key_cache = buyer.service.writer, buyer.service.api_key_cache
    buyer.arm()
    await buyer.create()
    await writer.submit(create_merchants, buyer.merchant_id)
    await asyncio.to_thread(create_beside, buyer)
    made = await writer.submit(
        create_keys,
        NewKey(
            id=ids.new_id(ids.KEY),
            random_part=ids.draw_base62(RANDOM_LENGTH),
            merchant_id=buyer.merchant_id,
            mode=Mode.TEST,
            scopes=MERCHANT_SCOPES,
        ),
    )
    assert isinstance(made, IssuedKey)
    rotation = RotateKey(
        id=made.key.id,
        new_id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        overlap_seconds=60,
        operators=False,
    )
    replaced = await writer.submit(rotate_keys, rotation)
    assert isinstance(replaced, IssuedKey)
    told = [made.secret.encode(), replaced.secret.encode()]
    callers = [await api_key_cache.find(one) for one in told]
    assert [caller.merchant_id if caller else None for caller in callers] == [buyer.merchant_id] * 2
    for key_id in (made.key.id, replaced.key.id):
        await writer.submit(revoke_keys, RevokeKey(id=key_id, operators=False))
    api_key_cache.invalidate()
    assert [await api_key_cache.find(one) for one in told] == [None, None]


def create_beside(buyer: Buyer) -> None:
    """Run the command that creates a merchant, while the server is running."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        create_merchant(buyer.service.settings, buyer.merchant_id)
