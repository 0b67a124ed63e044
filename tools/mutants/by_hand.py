"""Mutants that were written by hand: slips that no operator makes, and those in scripts.

A slip names a function and what stands in it, not a line: whatever else changes, it still fits.
Python is compared by its syntax tree, Lua without its white space. Where the function or the text
is gone, the slip is left out, and `make mutants` says so.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from .mutant import PACKAGE, Function, Mutant, functions_of, one_line, source_of

_LUA: Final = "stores/redis/lua/"


@dataclass(frozen=True)
class Slip:
    """One slip.

    Attributes:
        name: what it is called.
        where: `MODULE:FUNCTION`, such as `stores.sqlite.log:SQLiteLog.append`, or `SCRIPT.lua`.
        before: an expression, or statements that follow each other: once in the function.
        after: what stands there instead.
    """

    name: str
    where: str
    before: str
    after: str


class Gone(Exception):
    """What a slip changes is not there, or not once. The text says which."""


def mutant_of(slip: Slip) -> Mutant:
    """The mutant of a slip.

    Raises:
        Gone: it does not fit the code as it is.
    """
    return _in_lua(slip) if slip.where.endswith(".lua") else _in_python(slip)


def _in_lua(slip: Slip) -> Mutant:
    path = _LUA + slip.where
    if not (PACKAGE / path).is_file():
        raise Gone(f"{slip.name}: there is no script {slip.where}.")
    words = re.findall(rb"\w+|[^\w\s]", slip.before.encode())
    spots = list(re.finditer(rb"\s*".join(map(re.escape, words)), source_of(path)))
    if len(spots) != 1:
        raise Gone(f"{slip.name}: {slip.where} has `{slip.before}` {len(spots)} times, not once.")
    return Mutant(
        path=path,
        function=slip.where.removesuffix(".lua"),
        line=0,
        span=spots[0].span(),
        replacement=slip.after.encode(),
        before=one_line(slip.before),
        after=one_line(slip.after),
        name=slip.name,
    )


def _in_python(slip: Slip) -> Mutant:
    module, _, name = slip.where.partition(":")
    names = (f"{module.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))
    path = next((each for each in names if (PACKAGE / each).is_file()), None)
    if path is None:
        raise Gone(f"{slip.name}: there is no module {module}.")
    functions = [each for each in functions_of(path) if each.name == name]
    if not functions:
        raise Gone(f"{slip.name}: {module} has no function {name}.")
    before = textwrap.dedent(slip.before)
    within = _is_expression(before) and _is_expression(slip.after)
    wanted = ast.parse(f"({before})" if within else before).body
    spots = [
        (function, first, last)
        for function in functions
        for first, last in _spots(function, wanted, within=within)
    ]
    if len(spots) != 1:
        raise Gone(
            f"{slip.name}: {slip.where} has `{before.strip()}` {len(spots)} times, not once."
        )
    function, first, last = spots[0]
    starts = [0, *accumulate(map(len, source_of(path).splitlines(keepends=True)))]
    assert last.end_lineno is not None
    assert last.end_col_offset is not None
    after = textwrap.dedent(slip.after).strip("\n")
    indented = after.replace("\n", "\n" + " " * first.col_offset)
    return Mutant(
        path=path,
        function=name,
        line=function.line,
        span=(
            starts[first.lineno - 1] + first.col_offset,
            starts[last.end_lineno - 1] + last.end_col_offset,
        ),
        replacement=(f"({after})" if within else indented).encode(),
        before=one_line(slip.before),
        after=one_line(slip.after),
        lines=tuple(range(first.lineno, last.end_lineno + 1)),
        name=slip.name,
    )


def _is_expression(text: str) -> bool:
    try:
        ast.parse(f"({textwrap.dedent(text)})", mode="eval")
    except SyntaxError:
        return False
    return True


def _spots(
    function: Function, wanted: list[ast.stmt], *, within: bool
) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    """Where an expression (`within` a statement), or a run of statements, stands in a function."""
    asked = [
        ast.dump(each.value if within and isinstance(each, ast.Expr) else each) for each in wanted
    ]
    for node in ast.walk(function.node):
        if within:
            if isinstance(node, ast.expr) and [ast.dump(node)] == asked:
                yield node, node
            continue
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            lines = body if isinstance(body, list) else []
            for at in range(len(lines) - len(wanted) + 1):
                if [ast.dump(each) for each in lines[at : at + len(wanted)]] == asked:
                    yield lines[at], lines[at + len(wanted) - 1]
