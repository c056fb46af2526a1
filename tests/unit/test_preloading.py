"""Pages are loaded a moment after the start, so a package may be replaced under a running process."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

import paidonce

# Run with a copy of the package, which is deleted when the pages are loaded.
SHOW_PAGES = """
import asyncio, shutil, sys
from pathlib import Path
import httpx
from structlog.testing import capture_logs
from tests.support.dashboard_client import logged_in
from tests.support.in_process_service import open_in_process_service
from paidonce.pages.languages import CODES
from paidonce.web import open_web_app
from paidonce.users.model import Role
import paidonce

async def main(folder, package):
    assert Path(paidonce.__file__).parent == package, paidonce.__file__
    async with open_in_process_service(f"sqlite:///{folder}/paidonce.db", folder) as running:
        checkout = (await running.get(f"/checkouts/{await running.checkout()}")).json()
        with capture_logs() as lines:
            async with open_web_app(running.service, preload_after_seconds=0) as web_app:
                while not lines:
                    await asyncio.sleep(0.01)
                assert [one["event"] for one in lines] == ["pages_loaded"], lines
                shutil.rmtree(package)
                await show(running, checkout, web_app)

async def show(running, checkout, web_app):
    transport = httpx.ASGITransport(web_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
        person = await logged_in(running, Role.OPERATOR, http=http)
        base = f"/dashboard/m/{running.merchant_id}/test"
        paths = [f"/pay/{checkout['url'].rpartition('/')[2]}?lang={code}" for code in CODES]
        paths += ["/pay/none", "/dashboard/login", base, f"{base}/payments", f"{base}/webhooks", f"{base}/users"]
        for path in paths:
            response = await person.get(path)
            title = response.text.partition("<title>")[2].partition("</title>")[0]
            print("shown", response.status_code, path.partition("?")[2] or path.rpartition("/")[2], title, sep="|")

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.mark.timeout(120)
def test_pages_are_shown_after_the_package_was_replaced_under_the_running_process(tmp_path: Path) -> None:
    package = copytree(
        Path(paidonce.__file__).parent, tmp_path / "installed/paidonce", ignore=ignore_patterns("__pycache__")
    )
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_PAGES, tmp_path, package],
        env={"PYTHONPATH": f"{package.parent}:{root}"},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    pages = [line.split("|")[1:] for line in shown.stdout.splitlines() if line.startswith("shown|")]
    assert len(pages) == 16
    assert {(status, name) for status, name, _ in pages if status != "200"} == {("404", "none")}
    assert len({title for _, name, title in pages if name.startswith("lang=")}) == 9, pages  # One word is Italian, too.
