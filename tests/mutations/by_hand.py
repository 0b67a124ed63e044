"""Mutants that were written by hand: slips that no operator makes, and those in scripts.

A slip names a function and what stands in it, not a line: whatever else changes, it still fits.
Python is compared by its syntax tree, Lua without its white space. Where the function or the text
is gone, the slip is left out, and `make mutants` says so.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Final

from .mutant import PACKAGE, Function, Mutant, functions_of, one_line, source_of

_LUA: Final = "stores/redis/lua/"


@dataclass(frozen=True)
class Slip:
    """One slip.

    Attributes:
        name: what it is called.
        where: `MODULE:FUNCTION`, such as `stores.sqlite.logs:Logs.append`, or `SCRIPT.lua`.
        before: an expression, or statements that follow each other: once in the function.
        after: what stands there instead.
    """

    name: str
    where: str
    before: str
    after: str


class Gone(Exception):
    """What a slip changes is not there, or not once. The text says which."""


def by_hand(slips: Sequence[Slip]) -> tuple[list[Mutant], list[str]]:
    """The mutants of slips, and a sentence for each slip that fits no more."""
    found, gone = [], []
    for slip in slips:
        try:
            found.append(mutant_of(slip))
        except Gone as error:
            gone.append(str(error))
    return found, gone


def mutant_of(slip: Slip) -> Mutant:
    """The mutant of a slip.

    Raises:
        Gone: it does not fit the code as it is.
    """
    made = _in_lua(slip) if slip.where.endswith(".lua") else _in_python(slip)
    return replace(made, name=slip.name)


def _in_lua(slip: Slip) -> Mutant:
    path = _LUA + slip.where
    if not (PACKAGE / path).is_file():
        raise Gone(f"{slip.name}: there is no script {slip.where}.")
    source = source_of(path)
    words = re.findall(rb"\w+|[^\w\s]", slip.before.encode())
    spots = list(re.finditer(rb"\s*".join(map(re.escape, words)), source))
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
    )


def _in_python(slip: Slip) -> Mutant:
    module, _, name = slip.where.partition(":")
    path = f"{module.replace('.', '/')}.py"
    if not (PACKAGE / path).is_file():
        path = f"{module.replace('.', '/')}/__init__.py"
    if not (PACKAGE / path).is_file():
        raise Gone(f"{slip.name}: there is no module {module}.")
    functions = [each for each in functions_of(path) if each.name == name]
    if not functions:
        raise Gone(f"{slip.name}: {module} has no function {name}.")
    source = source_of(path)
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    within = _is_expression(slip.before) and _is_expression(slip.after)
    wanted = ast.parse(f"({slip.before})" if within else textwrap.dedent(slip.before)).body
    spots = [
        (function, first, last)
        for function in functions
        for first, last in _spots(function, wanted, within=within)
    ]
    if len(spots) != 1:
        raise Gone(f"{slip.name}: {slip.where} has `{slip.before.strip()}` {len(spots)} times.")
    function, first, last = spots[0]
    start, end = _place(first, starts)[0], _place(last, starts)[1]
    indent = "\n" + " " * first.col_offset
    text = textwrap.dedent(slip.after).strip("\n")
    text = text.replace("\n", indent) if isinstance(first, ast.stmt) else f"({text})"
    assert last.end_lineno is not None
    return Mutant(
        path=path,
        function=function.name,
        line=function.line,
        span=(start, end),
        replacement=text.encode(),
        before=one_line(slip.before),
        after=one_line(slip.after),
        lines=tuple(range(first.lineno, last.end_lineno + 1)),
    )


def _is_expression(text: str) -> bool:
    try:
        ast.parse(f"({textwrap.dedent(text)})", mode="eval")
    except SyntaxError:
        return False
    return True


def _spots(
    function: Function, wanted: list[ast.stmt], *, within: bool
) -> Iterator[tuple[ast.expr, ast.expr] | tuple[ast.stmt, ast.stmt]]:
    """Where an expression (`within` a statement), or a run of statements, stands in a function."""
    dump = partial(ast.dump, include_attributes=False)
    only = wanted[0]
    if within and isinstance(only, ast.Expr):
        asked = dump(only.value)
        for node in ast.walk(function.node):
            if isinstance(node, ast.expr) and dump(node) == asked:
                yield node, node
        return
    asked_all = [dump(each) for each in wanted]
    for node in ast.walk(function.node):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if not isinstance(body, list):
                continue
            for at in range(len(body) - len(wanted) + 1):
                if [dump(each) for each in body[at : at + len(wanted)]] == asked_all:
                    yield body[at], body[at + len(wanted) - 1]


def _place(node: ast.expr | ast.stmt, starts: Sequence[int]) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (
        starts[node.lineno - 1] + node.col_offset,
        starts[node.end_lineno - 1] + node.end_col_offset,
    )
