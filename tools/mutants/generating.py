"""Mutants by machine: mutmut's operators, and four of our own.

Ours leave out a statement that only does something (a call, `raise`, `del`), return None, turn a
plain condition around, and change SQL.

mutmut itself is not used. It leaves every decorated function alone (all properties and overrides),
and collects the tests anew for each mutant. Its kinds of changes are in `mutators`.

Not changed: annotations, decorators, docstrings, assertions, calls of a logger, and texts of more
than two words, whose wording is not promised.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final

from .mutant import Mutant, functions_of, one_line, source_of

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
_WORDING: Final = re.compile(r"\S\s+\S+\s+\S")


def available() -> bool:
    """Whether the operators are installed."""
    return importlib.util.find_spec("mutmut") is not None


def numbered(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """The mutants; those with the same key get numbers."""
    seen: Counter[str] = Counter()
    for mutant in mutants:
        seen[mutant.key] += 1
        yield replace(mutant, number=seen[mutant.key])


def swapped(text: str, swaps: dict[str, str]) -> Iterator[str]:
    """The text with one place changed, for each place."""
    for place in re.finditer("|".join(map(re.escape, swaps)), text):
        yield text[: place.start()] + swaps[place[0]] + text[place.end() :]


def generate(path: str) -> list[Mutant]:
    """All mutants of a file, which is named from the package's folder on."""
    return list(numbered(_Generator(path).mutants()))


class _Generator:
    def __init__(self, path: str) -> None:
        self._path = path
        self._source = source_of(path)
        self._cst: Any = importlib.import_module("libcst")
        metadata: Any = importlib.import_module("libcst.metadata")
        mutators: Any = importlib.import_module("mutmut.mutation.mutators")
        self._operators = mutators.mutation_operators
        self._module = self._cst.parse_module(self._source)
        wrapper = metadata.MetadataWrapper(self._module, unsafe_skip_copy=True)
        self._spans = wrapper.resolve(metadata.ByteSpanPositionProvider)
        self._functions = functions_of(path)
        self._lines = [0, *accumulate(map(len, self._source.splitlines(keepends=True)))]

    def mutants(self) -> Iterator[Mutant]:
        return self._walk(self._module, None)

    def _walk(self, node: Any, statement: Any) -> Iterator[Mutant]:
        """The mutants of a node that is part of a statement, and of what is in it."""
        cst = self._cst
        if isinstance(
            node,
            cst.BaseSmallStatement | cst.BaseCompoundStatement | cst.ExceptHandler | cst.MatchCase,
        ):
            statement = node
        texts = list(self._sql_changes(node))
        kept = self._kept(node)
        if not kept:
            texts += self._changes(node)
        for text in texts:
            mutant = self._mutant(node, text, statement)
            if mutant is not None:
                yield mutant
        for child in () if kept else node.children:
            yield from self._walk(child, statement)

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
                yield from swapped(text, _IN_SQL)

    def _changes(self, node: Any) -> Iterator[str]:
        """The texts that may stand in the place of a node."""
        cst = self._cst
        for kind, operator in self._operators:
            if isinstance(node, kind):
                changed = list(operator(node))
                if isinstance(node, cst.BaseString):
                    changed = changed[:1]  # not also in lower case, and in upper case
                yield from (self._code(each) for each in changed)
        if isinstance(node, cst.Raise | cst.Del) or self._only_does(node):
            yield "pass"
        elif isinstance(node, cst.Return) and node.value is not None:
            if self._code(node.value) != "None":
                yield "return None"
        elif isinstance(node, cst.If | cst.While):
            plain = (cst.Name, cst.Attribute, cst.Call, cst.Await, cst.Subscript, cst.NamedExpr)
            if isinstance(node.test, plain):
                yield f"not ({self._code(node.test)})"

    def _only_does(self, node: Any) -> bool:
        """Whether it is a statement whose value, if any, is not used."""
        cst = self._cst
        return (
            isinstance(node, cst.Expr)
            and isinstance(node.value, cst.Call | cst.Await | cst.Yield)
            and not self._kept(node.value)
        )

    def _code(self, node: Any) -> str:
        return str(self._module.code_for_node(node))

    def _mutant(self, node: Any, text: str, statement: Any) -> Mutant | None:
        cst = self._cst
        place = self._spans.get(node.test if isinstance(node, cst.If | cst.While) else node)
        if place is None or statement is None:
            return None
        start, end = place.start, place.start + place.length
        line = self._line(start)
        function = next((each for each in self._functions if each.line <= line <= each.last), None)
        if function is None:
            return None
        if isinstance(node, cst.Tuple | cst.GeneratorExp):
            text = f"({text})"
        first, last = self._head(statement)
        mutated = self._source[:start] + text.encode() + self._source[end:]
        before = one_line(self._source[first:last].decode())
        after = one_line(mutated[first : last + len(mutated) - len(self._source)].decode())
        if before == after:
            return None
        head = self._line(first) == function.node.lineno
        return Mutant(
            path=self._path,
            function=function.name,
            line=function.line,
            span=(start, end),
            replacement=text.encode(),
            before=before,
            after=after,
            lines=() if head else tuple(range(self._line(first), self._line(last - 1) + 1)),
        )

    def _head(self, statement: Any) -> tuple[int, int]:
        """The first byte of a statement and the one after its last; its body is no part of it."""
        cst, spans, source = self._cst, self._spans, self._source
        first, last = spans[statement].start, spans[statement].start + spans[statement].length
        if isinstance(statement, cst.MatchCase):
            first = spans[statement.pattern].start
        elif getattr(statement, "decorators", ()):
            above = spans[statement.decorators[-1]]
            rest = source[above.start + above.length : last]
            first = last - len(rest.lstrip())
        body = getattr(statement, "cases", None) or getattr(statement, "body", None)
        if body is not None:
            inner = spans[body[0] if isinstance(statement, cst.Match) else body].start
            last = len(source[:inner].rstrip())
        return first, last

    def _line(self, place: int) -> int:
        return bisect_right(self._lines, place)
