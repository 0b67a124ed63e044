"""Mutants by machine: mutmut's operators, and four of our own.

Ours leave out a statement that only does something (a call, `raise`, `del`), return None, turn a
plain condition around, and change SQL.

mutmut itself is not used. It leaves every decorated function alone (all properties and overrides),
and collects the tests anew for each mutant. What it knows of changes is in `mutators`.

Not changed: annotations, decorators, docstrings, assertions, calls of a logger, and texts of more
than two words, whose wording is nobody's promise.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from .mutant import Function, Mutant, functions_of, one_line, source_of
from .statements import Statement, statement_at, statements_of

MISSING: Final = (
    "mutmut is not installed here: its operators make the mutants. `scripts/bootstrap mutants` "
    "installs it into .venv."
)

#: Calls whose arguments are not changed, as in mutmut.
_KEPT_CALLS: Final = {"len", "isinstance", "cast", "assert_never"}
#: What is changed in SQL, each place by itself.
_SQL: Final = re.compile(r"\b(?:SELECT|FROM|WHERE|AND|ORDER BY|UPDATE|DELETE|INSERT)\b")
_IN_SQL: Final = {
    " < ": " <= ",
    " <= ": " < ",
    " > ": " >= ",
    " >= ": " > ",
    " AND ": " OR ",
    " DESC": " ASC",
    "max(": "min(",
    "min(": "max(",
    "NOT EXISTS": "EXISTS",
    " OR REPLACE": " OR IGNORE",
    " IS NULL": " IS NOT NULL",
}
_SQL_PLACE: Final = re.compile("|".join(map(re.escape, _IN_SQL)))
_WORDING: Final = re.compile(r"\S\s+\S+\s+\S")


def available() -> bool:
    """Whether the operators are installed."""
    return importlib.util.find_spec("mutmut") is not None


def generate(path: str) -> list[Mutant]:
    """All mutants of a file.

    Args:
        path: from the package's folder on.
    """
    return _Generator(path).mutants()


class _Generator:
    def __init__(self, path: str) -> None:
        self._path = path
        self._source = source_of(path)
        self._cst: Any = importlib.import_module("libcst")
        metadata: Any = importlib.import_module("libcst.metadata")
        mutators: Any = importlib.import_module("mutmut.mutation.mutators")
        self._operators = mutators.mutation_operators
        self._wrapper = metadata.MetadataWrapper(
            self._cst.parse_module(self._source), unsafe_skip_copy=True
        )
        self._spans = self._wrapper.resolve(metadata.ByteSpanPositionProvider)
        self._functions = functions_of(path)
        self._starts = [each.line for each in self._functions]
        self._lines = [0]
        for line in self._source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._statements: dict[int, list[Statement]] = {}

    def mutants(self) -> list[Mutant]:
        seen: Counter[str] = Counter()
        made = []
        for mutant in self._walk(self._wrapper.module):
            seen[mutant.key] += 1
            made.append(replace(mutant, number=seen[mutant.key]))
        return made

    def _walk(self, node: Any) -> Iterator[Mutant]:
        for text in self._sql_changes(node):
            mutant = self._mutant(node, text)
            if mutant is not None:
                yield mutant
        if self._kept(node):
            return
        for text in self._changes(node):
            mutant = self._mutant(node, text)
            if mutant is not None:
                yield mutant
        for child in node.children:
            yield from self._walk(child)

    def _kept(self, node: Any) -> bool:
        cst = self._cst
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Assert):
            return True
        if isinstance(node, cst.Expr):
            return isinstance(node.value, cst.BaseString)
        if isinstance(node, cst.Call):
            func = node.func
            if isinstance(func, cst.Name):
                return func.value in _KEPT_CALLS
            if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Name):
                return func.value.value in ("logger", "_logger", "logging")
        return isinstance(node, cst.BaseString) and bool(_WORDING.search(self._code(node)))

    def _sql_changes(self, node: Any) -> Iterator[str]:
        if isinstance(node, self._cst.SimpleString | self._cst.FormattedStringText):
            text = self._code(node)
            if _SQL.search(text):
                for place in _SQL_PLACE.finditer(text):
                    yield text[: place.start()] + _IN_SQL[place[0]] + text[place.end() :]

    def _changes(self, node: Any) -> Iterator[str]:
        """The texts that may stand in the place of a node."""
        cst = self._cst
        for kind, operator in self._operators:
            if isinstance(node, kind):
                changed = list(operator(node))
                if isinstance(node, cst.BaseString):
                    changed = changed[:1]  # not also in lower case, and in upper case
                yield from (self._code(each) for each in changed)
        if isinstance(node, cst.Expr | cst.Raise | cst.Del) and self._does_something(node):
            yield "pass"
        elif isinstance(node, cst.Return) and node.value is not None:
            if self._code(node.value) != "None":
                yield "return None"
        elif isinstance(node, cst.If | cst.While):
            plain = (cst.Name, cst.Attribute, cst.Call, cst.Await, cst.Subscript, cst.NamedExpr)
            if isinstance(node.test, plain):
                yield f"not ({self._code(node.test)})"

    def _does_something(self, node: Any) -> bool:
        cst = self._cst
        if isinstance(node, cst.Raise | cst.Del):
            return True
        if isinstance(node.value, cst.Call) and self._kept(node.value):
            return False
        return isinstance(node.value, cst.Call | cst.Await | cst.Yield)

    def _code(self, node: Any) -> str:
        return str(self._wrapper.module.code_for_node(node))

    def _mutant(self, node: Any, text: str) -> Mutant | None:
        cst = self._cst
        place = self._spans.get(node.test if isinstance(node, cst.If | cst.While) else node)
        if place is None:
            return None
        start, end = place.start, place.start + place.length
        line = bisect_right(self._lines, start)
        function = self._function(line)
        if function is None:
            return None
        if isinstance(node, cst.Tuple | cst.GeneratorExp):
            text = f"({text})"
        lots = self._statements.setdefault(
            function.line, statements_of(function.node, self._lines, self._source)
        )
        statement = statement_at(lots, start)
        if statement is None:
            return None
        mutated = self._source[:start] + text.encode() + self._source[end:]
        last = statement.end + len(mutated) - len(self._source)
        before = one_line(self._source[statement.start : statement.end].decode())
        after = one_line(mutated[statement.start : last].decode())
        if before == after:
            return None
        return Mutant(
            path=self._path,
            function=function.name,
            line=function.line,
            span=(start, end),
            replacement=text.encode(),
            before=before,
            after=after,
            lines=statement.lines,
        )

    def _function(self, line: int) -> Function | None:
        at = bisect_right(self._starts, line) - 1
        if at < 0 or self._functions[at].last < line:
            return None
        return self._functions[at]
