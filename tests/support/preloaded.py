"""What the fork server imports and warms up, before it forks processes of paidonce: what they load when they start."""

import asyncio
import gc
import importlib
from typing import Final

from paidonce.app import preload
from paidonce.buyer_pages.view import TEMPLATES as BUYER_TEMPLATES
from paidonce.http.meta import render_pages
from paidonce.http.routes import OPERATIONS
from paidonce.pages.templates import SHARED, Templates
from paidonce.web import DASHBOARD

LOADED_WHEN_NEEDED: Final = (
    "paidonce.cli.serving",
    "paidonce.dashboard.routes",
    "paidonce.providers.simulator.connector",
    "paidonce.providers.simulator.server",
    "sqlalchemy.dialects.postgresql.psycopg",
)


async def _load_pages() -> None:
    for templates in (Templates(SHARED), BUYER_TEMPLATES, Templates(DASHBOARD)):
        await templates.load()


for name in LOADED_WHEN_NEEDED:
    importlib.import_module(name)
preload()
render_pages(OPERATIONS)
asyncio.run(_load_pages())
gc.collect()
gc.freeze()  # So that the children share what they never change.
