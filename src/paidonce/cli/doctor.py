"""``paidonce doctor``: checks the configuration for production and prints remedies."""

import errno
import http.client
import socket
import sys
from typing import Final

import click
import msgspec

from paidonce.database.health import Finding, Level
from paidonce.doctor.examination import examine as examine_all
from paidonce.doctor.words import counted
from paidonce.settings import Settings

PROBLEM_EXIT: Final = 1
ANSWER_SECONDS_MAX: Final = 2.0  # For another process on this machine.
COLORS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def examine(settings: Settings, *, as_json: bool) -> None:
    """Print every finding; exit 1 if one is a problem."""
    findings = [*examine_all(settings), _examine_port(settings.host, settings.port)]
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        _print(findings)
    sys.exit(PROBLEM_EXIT if any(finding.level is Level.PROBLEM for finding in findings) else 0)


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = click.style(f"{finding.level:<9}", fg=COLORS[finding.level])
        click.echo(f"{level}{finding.check:<{width}}  {finding.found}")
        if finding.remedy:
            click.echo(f"{'':<{width + 9}}  → {finding.remedy}")
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    click.echo(f"\n{counted(problems, 'problem')}, {counted(warnings, 'warning')}")


def _examine_port(host: str, port: int) -> Finding:
    if port == 0:
        return Finding("port", Level.OK, "a free one is selected")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server binds: connections of a stopped server do not block it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_paidonce(host, port):
            return Finding("port", Level.OK, f"{port} is used by paidonce")
        found = f"cannot listen on {host}:{port}: {error.strerror}"
        return Finding("port", Level.PROBLEM, found, "set PORT to a free port, or stop the process that uses it")
    return Finding("port", Level.OK, f"{port} is free")


def _is_paidonce(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/health/live")
        answer = msgspec.json.decode(connection.getresponse().read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("status") == "live"
