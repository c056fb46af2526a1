"""The link that `paidonce dev` prints: for the first user, as long as nobody has logged in."""

from pathlib import Path

from paidonce import ids
from paidonce.users.actions import NewUser, UseLink, create_users, list_users, use_links
from paidonce.users.first_user import FirstLink, link_first_users
from paidonce.users.model import Role, hash_token
from paidonce.users.sessions import NewSession
from paidonce.users.store import UserFilter
from tests.support.in_process_service import InProcessService, open_in_process_service


async def link(running: InProcessService, token: str) -> bool:
    return await running.service.writer.submit(link_first_users, FirstLink(ids.new_id(ids.USER), hash_token(token)))


async def use(running: InProcessService, token: str) -> None:
    session = NewSession(id=ids.new_id(ids.USER_SESSION), token_hash=hash_token("s" + token), address="", user_agent="")
    await running.service.writer.submit(
        use_links, UseLink(link_hash=hash_token(token), password_hash=None, session=session)
    )


async def test_each_start_makes_a_link_for_one_operator_until_somebody_has_logged_in(
    migrated_database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as running:
        assert [await link(running, "one"), await link(running, "two")] == [True, True]
        users, _ = await running.service.reader.submit(list_users, UserFilter(limit=10))
        assert [(one.email, one.role) for one in users] == [("dev@localhost", "operator")]
        await use(running, "two")
        assert not await link(running, "three")


async def test_a_service_whose_users_were_created_by_its_operator_gets_no_other_user(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(sqlite_url, str(tmp_path)) as running:
        new = NewUser(
            id=ids.new_id(ids.USER), email="a@example.com", role=Role.OPERATOR, merchant_id="", link_hash="0" * 64
        )
        await running.service.writer.submit(create_users, new)
        assert not await link(running, "one")
        users, _ = await running.service.reader.submit(list_users, UserFilter(limit=10))
        assert [one.email for one in users] == ["a@example.com"]
