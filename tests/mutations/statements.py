"""The statements of a function as places in the file's text."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A simple statement, or the head of one that has a body.

    Attributes:
        start: its first byte in the file.
        end: the byte after its last one.
        lines: the lines that it stands in; empty for the head of the function itself.
    """

    start: int
    end: int
    lines: tuple[int, ...]


def statements_of(
    function: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[int], source: bytes
) -> list[Statement]:
    """All statements of a function, itself included.

    Args:
        function: the function.
        lines: the byte at which each line begins.
        source: the file's text.
    """
    found = []
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        first = node.pattern if isinstance(node, ast.match_case) else node
        start = lines[first.lineno - 1] + first.col_offset
        last, column = _end(node, lines, source)
        own = () if node is function else tuple(range(first.lineno, last + 1))
        found.append(Statement(start, column, own))
    return found


def statement_at(statements: Sequence[Statement], place: int) -> Statement | None:
    """The smallest one that holds a byte."""
    holding = [each for each in statements if each.start <= place < each.end]
    return min(holding, key=lambda each: each.end - each.start, default=None)


def _end(
    node: ast.stmt | ast.ExceptHandler | ast.match_case, lines: Sequence[int], source: bytes
) -> tuple[int, int]:
    """The last line of a statement's head, and the byte after it."""
    body = node.cases if isinstance(node, ast.Match) else getattr(node, "body", None)
    if not body:
        assert isinstance(node, ast.stmt)
        last, column = node.end_lineno, node.end_col_offset
        assert last is not None
        assert column is not None
        return last, lines[last - 1] + column
    child = body[0]
    inner = child.pattern if isinstance(child, ast.match_case) else child
    line = min([inner.lineno, *(each.lineno for each in getattr(child, "decorator_list", []))])
    head = source[: lines[line - 1] + (inner.col_offset if line == inner.lineno else 0)]
    if isinstance(child, ast.match_case):
        head = head.rstrip().removesuffix(b"case")
    head = head.rstrip()
    return head.count(b"\n") + 1, len(head)
