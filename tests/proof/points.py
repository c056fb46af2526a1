"""The points at which a process can die, counted from the code, so that a new one cannot be forgotten.

A commit has one before and one after it, named by its action; so has each call to a provider, named by its method.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src" / "paidonce"
# paidonce prove, the command, plays the buyers: it commits nothing for the service.
NOT_THE_SERVICE: Final = ("proving/",)


def commit_points() -> set[str]:
    """Return the points around every commit: of actions that a batcher runs, and of functions that commit
    themselves.
    """
    actions: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        shown = str(path.relative_to(SOURCE))
        if not shown.startswith(NOT_THE_SERVICE):
            tree = ast.parse(path.read_text())
            actions.update(_submitted(tree), _committing(tree))
    return {f"{action}:{side}" for action in actions for side in ("before_commit", "after_commit")}


def provider_points() -> set[str]:
    """Return the points around every call to a provider: the protocol methods that the payments use."""
    protocol = ast.parse((SOURCE / "providers" / "base.py").read_text())
    methods = {
        item.name
        for node in protocol.body
        if isinstance(node, ast.ClassDef) and node.name == "Provider"
        for item in node.body
        if isinstance(item, ast.AsyncFunctionDef)
    }
    called = {
        node.func.attr
        for path in (SOURCE / "payments").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {f"{method}:{side}" for method in methods & called for side in ("before", "after")}


def _submitted(tree: ast.Module) -> Iterator[str]:
    """Yield the actions that are handed to a batcher by name, themselves or in a command of the API.

    What a reader runs commits nothing.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Command":
            yield from (ast.unparse(one.value) for one in node.keywords if one.arg == "action")
    for function in _functions(tree):
        parameters = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            receiver = ast.unparse(node.func.value)
            hands_over = node.func.attr == "submit" or (node.func.attr == "begin" and receiver.endswith("worker"))
            action = node.args[0]
            if isinstance(action, ast.Starred) and ast.unparse(action.value).startswith("with_idempotency("):
                assert isinstance(action.value, ast.Call)
                action = action.value.args[1]  # Run under an idempotency key, it has the same name.
            if hands_over and "reader" not in receiver and isinstance(action, ast.Name) and action.id not in parameters:
                yield action.id


def _committing(tree: ast.Module) -> Iterator[str]:
    """Yield the functions that open a write transaction, or migrate. One that is called ``write`` hands it on."""
    for function in _functions(tree):
        if function.name == "write":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                (".write", ".writes.begin", "command.upgrade")
            ):
                is_transaction = not node.args or ast.unparse(node.func) == "command.upgrade"
                if is_transaction:
                    yield function.name


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
