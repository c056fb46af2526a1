"""The subjects: paidonce on each database, started as operators start it; a running peer; the upper limit."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, get_args, get_type_hints
from urllib.request import Request, urlopen

import click
import msgspec

from bench.plan import MERCHANTS
from paidonce.settings import Settings, environment_name
from tests.support.service_process import QUICK, ServiceProcess

SQLITE: Final = "SQLite"
POSTGRESQL: Final = "PostgreSQL"
PEER: Final = "peer"
LIMIT: Final = "limit"
NOT_DISTRIBUTED: Final = "PostgreSQL, not distributed"

ROOT: Final = Path(__file__).parent.parent
# The tests use short time-outs. Here every setting is the default.
AS_SHIPPED: Final = {**dict.fromkeys(QUICK, ""), "PORT": "0"}


# Where the release has these settings. The limits are active, but high enough that no request is refused.
UNREFUSED: Final = {
    "rate_limit_per_second": "1000000",
    "rate_limit_burst": "1000000",
    "waits_per_key": "1000000",
}


class Merchant(NamedTuple):
    """A merchant, and its Authorization header; empty where no keys are used."""

    id: str
    authorization: str = ""


class Subject(NamedTuple):
    """A service at ``url``. ``pid`` is 0 where it was not started here."""

    name: str
    url: str
    merchants: tuple[Merchant, ...]
    pid: int = 0

    @property
    def is_paidonce(self) -> bool:
        """Whether it is paidonce, whose process is known."""
        return self.name not in (PEER, LIMIT)


def distributed(shards: int) -> str:
    """Return the name of paidonce on a cluster with this number of shards of each table."""
    return f"Citus, {shards} shards"


def peer_at(url: str) -> Subject:
    """Describe a running service that uses no keys."""
    return Subject(PEER, url.rstrip("/"), merchants_without_keys())


def merchants_without_keys() -> tuple[Merchant, ...]:
    """Return merchants without API keys."""
    return tuple(Merchant(f"m{number}") for number in range(MERCHANTS))


@contextmanager
def paidonce_running(
    name: str, database_url: str, folder: Path, *, command: str = "serve", **other_settings: str
) -> Iterator[Subject]:
    """Migrate and serve with default settings, except for others; on leaving, the process has ended."""
    folder.mkdir(exist_ok=True)
    settings = service_settings(database_url) | other_settings
    run_paidonce("db", "upgrade", folder=folder, settings=settings)
    merchants = _merchants(folder, settings)
    with ended(ServiceProcess(command, folder=folder, **settings)) as process:
        try:
            url = process.url
        except AssertionError as error:
            raise click.ClickException(str(error)) from error
        yield Subject(name, on_loopback(url), merchants, process.process.pid)


def service_settings(database_url: str) -> dict[str, str]:
    """Return the environment of a service: the defaults, and keys where the release supports them."""
    known = {field.name for field in msgspec.structs.fields(Settings)}
    wanted = {environment_name(name): value for name, value in UNREFUSED.items() if name in known}
    keys = {"PAIDONCE_AUTH": "keys"} if keys_are_known() else {}
    return {**AS_SHIPPED, **wanted, **keys, "DATABASE_URL": database_url}


@cache
def keys_are_known() -> bool:
    """Return whether this release supports API keys."""
    return "keys" in get_args(get_type_hints(Settings)["auth"])


@contextmanager
def ended(process: ServiceProcess) -> Iterator[ServiceProcess]:
    """Stop a process when the block ends, by force if necessary."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait_for_end()
        except subprocess.TimeoutExpired:
            process.kill()
            click.echo(f"! paidonce {process.arguments[0]} did not end by itself and was killed", err=True)


def run_paidonce(*arguments: str, folder: Path, settings: dict[str, str]) -> str:
    """Run a command and return its output; raises ClickException where it fails."""
    process = ServiceProcess(*arguments, folder=folder, **settings)
    try:
        failed = process.wait_for_end() != 0
    except BaseException:
        process.kill()
        raise
    if failed:
        raise click.ClickException(f"paidonce {' '.join(arguments)} failed:\n{process.output}")
    return process.output


def on_loopback(url: str) -> str:
    """Replace localhost by 127.0.0.1, so that name resolution is not measured."""
    return url.replace("//localhost:", "//127.0.0.1:")


def _merchants(folder: Path, settings: dict[str, str]) -> tuple[Merchant, ...]:
    if not keys_are_known():
        return merchants_without_keys()
    merchants = []
    for merchant in merchants_without_keys():
        run_paidonce("merchants", "create", merchant.id, folder=folder, settings=settings)
        output = run_paidonce("keys", "create", merchant.id, folder=folder, settings=settings)
        secret = next((word for word in output.split() if word.startswith("sk_")), None)
        if secret is None:
            raise click.ClickException(f"paidonce keys create showed no key:\n{output}")
        merchants.append(Merchant(merchant.id, f"Bearer {secret}"))
    return tuple(merchants)


@contextmanager
def limit_running(sample: Subject, folder: Path) -> Iterator[Subject]:
    """Serve the responses of ``sample`` from memory: what the HTTP layer could reach without a service."""
    created, found = folder / "created.json", folder / "found.json"
    answer, location = _post(sample)
    created.write_bytes(answer)
    found.write_bytes(_get(sample, location))
    command = [sys.executable, "-m", "bench.limit", str(created), str(found)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            announced = next((line for line in process.stdout if "paidonce is at" in line), None)
            if announced is None:
                raise click.ClickException("the limit did not start")
            yield Subject(LIMIT, on_loopback(announced.split()[-1]), merchants_without_keys(), process.pid)
        finally:
            process.terminate()


def _post(subject: Subject) -> tuple[bytes, str]:
    merchant = subject.merchants[0]
    body = f'{{"merchantId":"{merchant.id}","amount":1000,"currency":"USD","idempotencyKey":"the-sample-of-the-limit"}}'
    headers = {"Content-Type": "application/json", "Authorization": merchant.authorization}
    with urlopen(Request(f"{subject.url}/checkouts", body.encode(), headers)) as answer:
        return answer.read(), answer.headers["Location"]


def _get(subject: Subject, path: str) -> bytes:
    headers = {"Authorization": subject.merchants[0].authorization}
    with urlopen(Request(f"{subject.url}{path}", headers=headers)) as answer:
        content: bytes = answer.read()
        return content


@contextmanager
def subjects_running(
    databases: dict[str, str], peer_url: str, folder: Path, missing: Callable[[str, Exception], None]
) -> Iterator[list[Subject]]:
    """Start paidonce on each of ``databases`` (name to URL) and the limit beside; on leaving, all of it is gone.

    ``missing`` is told of what does not start, and the others are measured without it.
    """
    subjects: list[Subject] = []
    with ExitStack() as stack:

        def start(name: str, subject: AbstractContextManager[Subject]) -> None:
            try:
                subjects.append(stack.enter_context(subject))
            except Exception as error:  # noqa: BLE001 - whatever it was, the others are measured
                missing(name, error)

        for name, url in databases.items():
            start(name, paidonce_running(name, url, folder / name.lower()))
        if subjects:
            start(LIMIT, limit_running(subjects[0], folder))
        if peer_url:
            subjects.append(peer_at(peer_url))
        yield subjects
