"""The settings as they are in force, what ``paidonce doctor`` says, and the health of this process, for operators."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.responses import Response

from paidonce import __version__
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.database.health import Finding, Level
from paidonce.doctor.examination import check_providers, examine_surroundings
from paidonce.doctor.process import ProcessHealth, measure_process
from paidonce.doctor.waiting import check_waiting, measure_waiting
from paidonce.errors import PaidonceError
from paidonce.service import Service
from paidonce.settings import describe_settings
from paidonce.users.model import Role

CHECK_SECONDS_MAX: Final = 5.0  # A database that does not answer must not keep the page.
ORDER: Final = {Level.PROBLEM: 0, Level.WARNING: 1, Level.OK: 2}


class Fact(NamedTuple):
    """Something that is known of the process."""

    name: str
    value: str


@page("/operator/settings", role=Role.OPERATOR)
async def settings(request: DashboardRequest) -> Response:
    """Show what is set, what is wrong with it, and how the process does."""
    service = request.service
    findings = await _examine(service)
    values = {
        "settings": describe_settings(service.settings, os.environ),
        "findings": sorted(findings, key=lambda one: ORDER[one.level]),
        "facts": _facts(service, measure_process()),
    }
    return request.page("settings.html", values, title="Settings and health")


async def _examine(service: Service) -> list[Finding]:
    """Make the checks: those of the surroundings in a thread, the others by the reader, for a bounded time."""
    surroundings, waiting = await asyncio.gather(_surroundings(service), _waiting(service))
    return [*surroundings, *waiting]


async def _surroundings(service: Service) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await asyncio.to_thread(examine_surroundings, service.settings)
    except TimeoutError:
        return [_late("surroundings")]


async def _waiting(service: Service) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            found = await service.reader.submit(measure_waiting, None)
    except TimeoutError:
        return [_late("database")]
    except PaidonceError as error:
        return [Finding("database", Level.PROBLEM, error.detail, "check the database server")]
    return [*check_waiting(found, service.clock()), check_providers(found)]


def _late(check: str) -> Finding:
    found = f"the checks took longer than {CHECK_SECONDS_MAX:.0f} s and were left"
    return Finding(check, Level.PROBLEM, found, "run: paidonce doctor")


def _facts(service: Service, health: ProcessHealth) -> list[Fact]:
    return [
        Fact("Release", __version__),
        Fact("Python", sys.version.split()[0]),
        Fact("Database", service.database.url.shown),
        Fact("Process", str(health.id)),
        Fact("Memory in use", f"{health.memory_mib} MiB"),
        Fact("Processor time used", f"{health.cpu_seconds:.0f} s"),
        Fact("Open files", str(health.open_files)),
        Fact("Threads", str(health.threads)),
    ]
