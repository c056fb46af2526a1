"""Shortens the lifetime of checkouts, whose buyers are away, so that a proof sees them expire.

The API allows no lifetime of less than five minutes. So the rows are changed, as if that time had passed.
"""

from collections.abc import Sequence

import pysqlite3.dbapi2
from sqlalchemy import bindparam, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from paidonce.clock import Instant
from paidonce.database_url import parse_database_url

LOCK_SECONDS_MAX = 10.0
STATEMENTS = (
    "UPDATE attempt SET session_expires_at = :at WHERE checkout_id IN :ids AND session_expires_at > :at",
    "UPDATE checkout SET expires_at = :at WHERE id IN :ids AND expires_at > :at",
)


def expire(url: str, checkout_ids: Sequence[str], at: Instant) -> bool:
    """Let checkouts and their sessions expire at a time; False where the database was busy, and nothing changed."""
    place = parse_database_url(url)
    if place.path is not None:
        engine = create_engine(
            f"sqlite+pysqlite:///{place.path}",
            module=pysqlite3.dbapi2,
            poolclass=NullPool,
            connect_args={"timeout": LOCK_SECONDS_MAX},
        )
    else:
        engine = create_engine(f"postgresql+psycopg://{place.server.partition('://')[2]}", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            for statement in STATEMENTS:
                wanted = text(statement).bindparams(bindparam("ids", expanding=True))
                connection.execute(wanted, {"at": at, "ids": list(checkout_ids)})
    except OperationalError:
        return False
    return True
