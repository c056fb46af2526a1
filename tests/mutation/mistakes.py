"""Which mistakes are put into a file: mutmut's operators and five of our own, except where a mistake says nothing.

A mutant is one mistake. Its key stays the same for as long as the function that it is in does.
"""

import difflib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_assignment, operator_string

ROOT: Final = Path(__file__).parents[2]
NOTHING: Final = cst.SimpleStatementLine([cst.Pass()])

# A mistake in any of these changes a text for people, a type, or what only says that something cannot be.
SKIPPED: Final = m.OneOf(
    m.Import(),
    m.ImportFrom(),
    m.Annotation(),
    m.Assert(),
    m.SimpleStatementLine([m.Expr(m.SimpleString() | m.ConcatenatedString())]),
    m.Call(m.Attribute(m.Name("log"))),
    m.SimpleStatementLine([m.Expr(m.Call(m.Attribute(m.Name("log"))))]),
    m.Call(m.Name("TypeVar") | m.Name("cast")),
    m.Assign([m.AssignTarget(m.Name("log") | m.Name("message") | m.Name("__slots__"))]),
    m.AnnAssign(annotation=m.Annotation(m.Name("TypeAlias"))),
    m.Arg(keyword=m.Name("strict")),  # Of zip: it only says that lengths are equal.
    # What only a process of its own carries out, which loads no mistake. Tests of such processes hold it.
    m.If(m.Comparison(m.Name("__name__"))),
    # What the declaration of a call says to people who read its documentation.
    m.Arg(keyword=m.Name("summary") | m.Name("description") | m.Name("because") | m.Name("raw_body")),
    m.Assign([m.AssignTarget(m.Name("DESCRIPTION"))]),
)
# The name of a part of a statement, a message of an error: nobody reads them.
NAMING_CALLS: Final = m.Call(m.Attribute(attr=m.Name("cte") | m.Name("alias") | m.Name("subquery"))) | m.Raise()


@dataclass(frozen=True)
class TopStatement:
    """A statement of a module, and what is in the file before and after it: generating all of it would take long."""

    node: cst.CSTNode
    code: str
    before: str
    after: str


@dataclass(frozen=True)
class Mutant:
    """One mistake: ``new`` in place of ``old`` in the file at ``path``, relative to the root.

    ``function`` is the outermost function that holds it, without the names of functions inside; ``names`` are what the
    statement binds where it is carried out on import, which ``on_import`` says.
    """

    path: str
    line: int
    lines: range
    function: str
    names: tuple[str, ...]
    on_import: bool
    key: str
    top: "TopStatement" = field(repr=False)
    old: cst.CSTNode = field(repr=False)
    new: cst.CSTNode = field(repr=False)

    def source(self) -> str:
        """Return the file with the mistake."""
        return f"{self.top.before}{self._mistaken()}{self.top.after}"

    def _mistaken(self) -> str:
        replaced = self.top.node.deep_replace(self.old, self.new)
        assert isinstance(replaced, cst.CSTNode), "a statement is not removed"
        return str(cst.Module([]).code_for_node(replaced))

    def diff(self) -> list[str]:
        """Return the lines that differ, the old ones with - and the new ones with + before them."""
        before, after = self.top.code.splitlines(), self._mistaken().splitlines()
        return [
            f"{line[0]} {line[1:].strip()}"
            for line in difflib.unified_diff(before, after, lineterm="", n=0)
            if line[:1] in "+-" and line[:3] not in ("---", "+++")
        ]


def mutants_of(path: Path) -> list[Mutant]:
    """Make every mutant of a file."""
    made = _Maker(path)
    for top in made.tops:
        made.visit_top(top)
    return made.mutants


def _top_statements(module: cst.Module) -> list[TopStatement]:
    codes = [module.code_for_node(node) for node in module.body]
    text = module.code
    start = text.index("".join(codes))
    tops = []
    for node, code in zip(module.body, codes, strict=True):
        end = start + len(code)
        tops.append(TopStatement(node, code, text[:start], text[end:]))
        start = end
    return tops


class _Maker:
    """Walks through a file, and knows at each node what holds it."""

    def __init__(self, path: Path) -> None:
        wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
        self._module = wrapper.module
        self.tops = _top_statements(wrapper.module)
        self.mutants: list[Mutant] = []
        self._places = wrapper.resolve(PositionProvider)
        self._path = str(path.relative_to(ROOT))
        self._parents: list[cst.CSTNode] = []
        self._counted: dict[str, int] = {}

    def visit_top(self, top: TopStatement) -> None:
        self._top = top
        self._parents = [self._module]
        self._visit(top.node)

    def _visit(self, node: cst.CSTNode) -> None:
        if m.matches(node, SKIPPED) or self._is_class_keyword(node):
            return
        for new in self._mistakes(node):
            self._add(node, new)
        self._parents.append(node)
        for child in node.children:
            self._visit(child)
        self._parents.pop()

    def _is_class_keyword(self, node: cst.CSTNode) -> bool:
        return isinstance(node, cst.Arg) and isinstance(self._parents[-1], cst.ClassDef)

    def _mistakes(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        for kind, operator in mutation_operators:
            if not isinstance(node, kind):
                continue
            if operator is operator_string:
                if not any(m.matches(parent, NAMING_CALLS) for parent in self._parents):
                    yield from list(operator(node))[:1]  # The others are the same in capital letters, and small ones.
            elif operator is operator_assignment:
                if self._function() is not None:
                    yield from operator(node)
            elif operator is operator_arg_removal:
                assert isinstance(node, cst.Call), "only calls have arguments"
                mistakes = list(operator(node))
                if len(node.args) > 1:  # An argument that is left out says more than one that is None.
                    left_out = zip(node.args, mistakes[-len(node.args) :], strict=True)
                    mistakes = [mistake for argument, mistake in left_out if not m.matches(argument, SKIPPED)]
                yield from mistakes
            else:
                yield from operator(node)
        yield from own_mistakes(node)

    def _function(self) -> cst.FunctionDef | None:
        return next((parent for parent in self._parents if isinstance(parent, cst.FunctionDef)), None)

    def _add(self, node: cst.CSTNode, new: cst.CSTNode) -> None:
        function = self._function() or (node if isinstance(node, cst.FunctionDef) else None)
        top = next((parent for parent in self._parents if isinstance(parent, _STATEMENTS)), node)
        classes = [parent.name.value for parent in self._parents if isinstance(parent, cst.ClassDef)]
        name = ".".join([*classes, function.name.value]) if function else ""
        in_body = function is not None and any(parent is function.body for parent in self._parents)
        statement = next((parent for parent in reversed(self._parents) if isinstance(parent, _LINES)), node)
        place = self._places[node]
        first = self._places[statement].start.line
        unit = self._module.code_for_node(function or top)
        count = self._counted[unit] = self._counted.get(unit, 0) + 1
        key = hashlib.sha256("\0".join((self._path, name, unit, str(count))).encode()).hexdigest()[:16]
        self.mutants.append(
            Mutant(
                path=self._path,
                line=place.start.line,
                lines=range(first if in_body else place.start.line, place.end.line + 1),
                function=name,
                names=(function.name.value,) if function else tuple(bound_names(top)),
                on_import=not in_body,
                key=key,
                top=self._top,
                old=node,
                new=new,
            )
        )


_STATEMENTS: Final = (cst.SimpleStatementLine, cst.ClassDef, cst.FunctionDef, cst.If, cst.Try, cst.With, cst.For)
_LINES: Final = (cst.SimpleStatementLine, cst.BaseCompoundStatement)


def own_mistakes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Make the mistakes that mutmut does not: a condition that is always true, or halved, a step that is left out."""
    if isinstance(node, cst.If | cst.CompIf):
        space = cst.SimpleWhitespace(" ")
        for value in ("True", "False") if isinstance(node, cst.If) else ("True",):
            spaces = {"whitespace_before_test": space}
            yield node.with_changes(test=cst.Name(value), **spaces)
    elif isinstance(node, cst.BooleanOperation):
        yield node.left
        yield node.right
    elif isinstance(node, cst.SimpleStatementLine):
        if m.matches(node, m.SimpleStatementLine([m.Expr(m.Call() | m.Await()) | m.Raise() | m.Del()])):
            yield NOTHING.with_changes(leading_lines=node.leading_lines)
    elif isinstance(node, cst.Return) and node.value is not None and not m.matches(node.value, m.Name("None")):
        yield cst.Return(cst.Name("None"))


def bound_names(statement: cst.CSTNode) -> Iterable[str]:
    """Name what a statement binds."""
    if isinstance(statement, cst.ClassDef | cst.FunctionDef):
        return [statement.name.value]
    targets = m.findall(statement, m.AssignTarget() | m.AnnAssign())
    named = [target.target for target in targets if isinstance(target, cst.AssignTarget | cst.AnnAssign)]
    return [target.value for target in named if isinstance(target, cst.Name)]
