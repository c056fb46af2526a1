"""The project rules that a program can check, for the source, the tests and the benchmark."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "paidonce"

FILE_LINES_MAX = 500  # A file is best under 250 lines and questioned at 400.
FUNCTION_LINES_MAX = 70  # About a screen: what one sees at once, one can judge.
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}
# Started by name, not imported: see [project.scripts], Alembic, and `python -m`.
ENTRY_POINTS = {
    "paidonce",
    "paidonce.cli",
    "paidonce.__main__",
    "paidonce.asgi",
    "paidonce.webhook_endpoints.receiver_process",
    "paidonce.providers.adyen",
    "paidonce.providers.mollie",
    "paidonce.providers.paypal",
    "paidonce.providers.stripe",
    "paidonce.proving.doubles.adyen.__main__",
    "paidonce.proving.doubles.mollie.__main__",
    "paidonce.proving.doubles.paypal.__main__",
    "paidonce.proving.doubles.stripe.__main__",
}
MIGRATIONS = "paidonce.database.migrations"  # Alembic finds them by their folder.

# Joined here so that this file does not hold what it forbids.
FORBIDDEN_TEXTS = tuple(
    "".join(parts)
    for parts in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/Us", "ers/"),
        ("/tmp/", "lab"),
        ("pypi", ".org"),
        ("python", "hosted"),
        ("npmjs", ".org"),
        ("deb.", "debian.org"),
    )
)


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in python_files()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_70_lines() -> None:
    assert {
        f"{shown(path)}:{node.lineno} {node.name}": function_lines(node)
        for path in python_files()
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and function_lines(node) > FUNCTION_LINES_MAX
    } == {}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    paths = [path.relative_to(ROOT) for path in python_files()]
    assert [str(path) for path in paths if VAGUE_NAMES & set("_".join(path.with_suffix("").parts).split("_"))] == []


def test_no_test_sleeps() -> None:
    sleeping = ("time.sle" + "ep(", "import sle" + "ep")
    tests = {shown(path): path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    assert [path for path, content in tests.items() if any(call in content for call in sleeping)] == []


def test_no_tracked_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    assert [
        f"{path}:{number} {line.strip()[:80]}"
        for path in tracked_files()
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), start=1)
        if any(text in line for text in FORBIDDEN_TEXTS)
    ] == []


def test_every_module_of_the_source_is_reached_from_an_entry_point() -> None:
    modules = {module_name(path): path for path in SOURCE.rglob("*.py")}
    reached: set[str] = set()
    found = {name for name in modules if name in ENTRY_POINTS or name.startswith(MIGRATIONS)}
    while found:
        reached |= found
        found = {name for module in found for name in imported_names(modules[module])} & modules.keys() - reached
    assert sorted(modules.keys() - reached) == []


def test_every_public_function_and_class_says_what_it_does() -> None:
    assert [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in SOURCE.rglob("*.py")
        for node in public_definitions(syntax_of(path))
        if ast.get_docstring(node) is None
    ] == []


def python_files() -> list[Path]:
    return [path for folder in ("src", "tests", "bench", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked_files() -> list[str]:
    """List the files that git tracks or would add, so that a file is checked before it is committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]


def test_each_mutant_that_is_listed_as_equivalent_changes_a_line_that_still_stands() -> None:
    gone = []
    for one in tomllib.loads((ROOT / "tests/mutation/equivalent.toml").read_text())["equivalent"]:
        path = ROOT / one["file"]
        lines = {line.strip() for line in path.read_text().splitlines()} if path.exists() else set()
        changed = [line[1:].strip() for line in one["change"].splitlines() if line.startswith("-")]
        gone += [f"{one['file']} {one['function']}: {line}" for line in changed if line not in lines]
    assert gone == []


@cache
def syntax_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, and the packages around them: importing a module runs those too."""
    for node in ast.walk(syntax_of(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the public definitions of a module. An overload is described by the function that it belongs to."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and "overload" not in map(ast.unparse, node.decorator_list):
            yield node
