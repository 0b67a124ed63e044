"""Putting a mutant into a running process: the functions that exist get other code.

1. Every reference stays what it was: imported names, bound methods, what a decorator has wrapped.
   So nothing is imported anew, and a forked process is ready at once.
2. What was computed when the module was imported is not computed again: constants, tables, caches
   that are filled. Caches are cleared.
3. A default value is evaluated anew, and only when the mutant is in the function's head.
4. A script's mutant is put into every `Script` that holds the changed text.
"""

from __future__ import annotations

import ast
import functools
import gc
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from durable_llm_streams.stores.redis import scripts
from durable_llm_streams.stores.redis.client.script import Script

from .mutant import PACKAGE, Mutant, functions_in, functions_of, source_of


class NotInstalled(Exception):
    """The changed code cannot take the place of what is there. The text says why."""


class Functions:
    """The functions of the product that exist in this process, by file and qualified name."""

    def __init__(self) -> None:
        self._found: defaultdict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        self._caches = []
        self._scripts = []
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                code = each.__code__
                if code.co_filename.startswith(str(PACKAGE)):
                    outermost = code.co_qualname.partition(".<locals>")[0]
                    self._found[code.co_filename, outermost].append(each)
            elif isinstance(each, functools._lru_cache_wrapper):
                self._caches.append(each)
            elif isinstance(each, Script):
                self._scripts.append(each)

    def install(self, mutant: Mutant) -> None:
        """Change what exists, for the rest of this process's life.

        Raises:
            NotInstalled: it is no code, or does not fit what exists.
        """
        for cache in self._caches:
            cache.cache_clear()
        mutated = mutant.applied(source_of(mutant.path))
        if mutant.path.endswith(".lua"):
            self._install_script(mutant, mutated)
        else:
            self._install_function(mutant, mutated)

    def _install_function(self, mutant: Mutant, mutated: bytes) -> None:
        file = str(PACKAGE / mutant.path)
        named = [each for each in functions_of(mutant.path) if each.name == mutant.function]
        order = [each.line for each in named].index(mutant.line)
        try:
            codes = _codes(compile(mutated, file, "exec", dont_inherit=True))
        except (SyntaxError, ValueError) as error:
            raise NotInstalled(f"it is no code: {error}") from None
        code = [each for each in codes if each.co_qualname == mutant.function][order]
        inner = {each.co_qualname: each for each in _codes(code)}
        existing = self._found[file, mutant.function]
        whole = [each for each in existing if each.__code__.co_firstlineno == mutant.line]
        whole = [each for each in whole if each.__code__.co_qualname == mutant.function]
        if not whole:
            raise NotInstalled("no such function exists in the process of the tests")
        for function in whole:
            if function.__code__.co_freevars != code.co_freevars:
                raise NotInstalled("it uses other variables of the scope around it")
            function.__code__ = code
            if not mutant.lines:
                _evaluate_defaults(function, mutated, mutant.function, order)
        for function in existing:
            changed = inner.get(function.__code__.co_qualname)
            if changed is not None and len(changed.co_freevars) == len(
                function.__code__.co_freevars
            ):
                function.__code__ = changed

    def _install_script(self, mutant: Mutant, mutated: bytes) -> None:
        read, changed = scripts._read, Path(mutant.path).name
        known = {path.stem for path in (PACKAGE / mutant.path).parent.glob("*.lua")}
        sound = {name: scripts.script(name).text for name in known}
        ours = [each for each in self._scripts if each.text == sound.get(each.name)]
        scripts._read = lambda name: mutated.decode() if name == changed else read(name)
        for each in ours:
            each.__init__(each.name, scripts.script(each.name).text)  # type: ignore[misc]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """All code within a code, in the order in which it is written."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _evaluate_defaults(function: FunctionType, mutated: bytes, name: str, order: int) -> None:
    """Evaluate the defaults of a function in its module."""
    arguments = [each for each in functions_in(mutated) if each.name == name][order].node.args

    def value(node: ast.expr) -> Any:
        code = compile(ast.Expression(node), "<default>", "eval")
        return eval(code, function.__globals__)

    try:
        defaults = tuple(map(value, arguments.defaults))
        named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        function.__kwdefaults__ = {one.arg: value(node) for one, node in named if node is not None}
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        raise NotInstalled(f"its defaults cannot be evaluated: {error}") from None
    function.__defaults__ = defaults
