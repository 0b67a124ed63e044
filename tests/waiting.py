"""Waiting in tests: for conditions, with one generous limit; a wait that fails explains itself."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

T = TypeVar("T")

#: The longest wait for anything. It is long because a busy machine must not make a test fail.
SECONDS = 60.0

_POLL_SECONDS = 0.005


@asynccontextmanager
async def within(
    what: str | Callable[[], str],
    there: Callable[[], object] | None = None,
    *,
    seconds: float = SECONDS,
) -> AsyncGenerator[None, None]:
    """Bound what is awaited inside.

    Args:
        what: what is awaited, for the failure.
        there: returns what is there instead, for the failure.
        seconds: the limit.

    Raises:
        AssertionError: it did not happen in time.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        found = "" if there is None else f"; there was: {there()!r}"
        awaited = what if isinstance(what, str) else what()
        raise AssertionError(f"Waited {seconds:g} s for {awaited}{found}") from None


@overload
async def until(
    look: Callable[[], Awaitable[T]],
    enough: Callable[[T], object] = ...,
    what: str = ...,
    *,
    seconds: float = ...,
) -> T: ...


@overload
async def until(
    look: Callable[[], T],
    enough: Callable[[T], object] = ...,
    what: str = ...,
    *,
    seconds: float = ...,
) -> T: ...


async def until(
    look: Callable[[], Any],
    enough: Callable[[Any], object] = bool,
    what: str = "",
    *,
    seconds: float = SECONDS,
) -> Any:
    """Look again and again until it is enough.

    Args:
        look: returns what is there now, or an awaitable of it.
        enough: whether that is what the test waits for; by default, whether it is true.
        what: what is awaited, for the failure; by default the source of `enough` or `look`.
        seconds: the limit.

    Returns:
        What was there at last.

    Raises:
        AssertionError: it was never enough; with what was there, and the values of a comparison.
    """
    seen: Any = None
    decides = look if enough is bool else enough
    named = what or (lambda: _source(decides))
    async with within(named, lambda: operands(look, seen), seconds=seconds):
        while True:
            found = look()
            seen = await found if inspect.isawaitable(found) else found
            if enough(seen):
                return seen
            await asyncio.sleep(_POLL_SECONDS)


def _source(function: Callable[..., object]) -> str:
    """What a lambda computes, or a function's name."""
    body = _body(function)
    return getattr(function, "__name__", repr(function)) if body is None else ast.unparse(body)


def _body(function: Callable[..., object]) -> ast.expr | None:
    """The expression of a lambda, as far as its source shows it."""
    try:
        lines = inspect.findsource(function)[0]
        tree = ast.parse("".join(lines))
        begin = function.__code__.co_firstlineno
    except (OSError, SyntaxError, TypeError, AttributeError):
        return None
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    here = [
        each.body
        for each in lambdas
        if each.lineno == begin and tuple(arg.arg for arg in each.args.args) == names
    ]
    return here[0] if len(here) == 1 else None


def operands(look: Callable[[], object], seen: object) -> object:
    """The values that a lambda compares; else what was seen."""
    body = _body(look)
    if not isinstance(body, ast.Compare):
        return seen
    names = inspect.getclosurevars(look)
    scope = {**names.builtins, **names.globals, **names.nonlocals}
    found = {}
    for operand in (body.left, *body.comparators):
        if not isinstance(operand, ast.Constant):
            code = compile(ast.Expression(operand), "<awaited>", "eval")
            found[ast.unparse(operand)] = eval(code, scope)
    return found
