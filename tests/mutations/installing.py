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
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType

from durable_llm_streams.stores.redis.client import script as scripts

from .mutant import PACKAGE, Mutant, source_of


class NotInstalled(Exception):
    """The changed code cannot take the place of what is there. The text says why."""


class Functions:
    """The functions of the product that exist in this process, by where they are written."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], list[FunctionType]] = {}
        self._nested: dict[str, list[FunctionType]] = {}
        self._caches = []
        self._scripts = []
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                self._note(each)
            elif isinstance(each, functools._lru_cache_wrapper):
                self._caches.append(each)
            elif isinstance(each, scripts.Script):
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
            return
        file = str(PACKAGE / mutant.path)
        try:
            tree = ast.parse(mutated)
            module = compile(tree, file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise NotInstalled(f"it is no code: {error}") from None
        code = self._code(mutant, module, file)
        existing = self._found.get((file, mutant.function, mutant.line))
        if not existing:
            raise NotInstalled("no such function exists in the process of the tests")
        for function in existing:
            _replace(function, code)
            if not mutant.lines:
                _replace_defaults(function, tree, mutant)
        inner = {each.co_qualname: each for each in _codes(code)}
        for function in self._nested.get(file, ()):
            if function.__qualname__.startswith(f"{mutant.function}.<locals>."):
                changed = inner.get(function.__code__.co_qualname)
                if changed is not None and len(changed.co_freevars) == len(
                    function.__code__.co_freevars
                ):
                    function.__code__ = changed

    def _note(self, function: FunctionType) -> None:
        code = function.__code__
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        if "<locals>" in code.co_qualname:
            self._nested.setdefault(code.co_filename, []).append(function)
        else:
            place = (code.co_filename, code.co_qualname, code.co_firstlineno)
            self._found.setdefault(place, []).append(function)

    def _code(self, mutant: Mutant, module: CodeType, file: str) -> CodeType:
        sound = compile(source_of(mutant.path), file, "exec", dont_inherit=True)
        named = [each for each in _codes(sound) if each.co_qualname == mutant.function]
        order = [each.co_firstlineno for each in named].index(mutant.line)
        return [each for each in _codes(module) if each.co_qualname == mutant.function][order]

    def _install_script(self, mutant: Mutant, mutated: bytes) -> None:
        folder, _, changed = mutant.path.rpartition("/")
        read = scripts._read
        known = {path.stem for path in (PACKAGE / folder).glob("*.lua")}
        sound = {name: scripts.Script(name).text for name in known}
        ours = [each for each in self._scripts if each.text == sound.get(each.name)]

        def read_changed(name: str) -> str:
            return mutated.decode() if name == changed else read(name)

        scripts._read = read_changed
        for each in ours:
            each.__init__(each.name)  # type: ignore[misc]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """All code within a code, in the order in which it is written."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _replace(function: FunctionType, code: CodeType) -> None:
    if function.__code__.co_freevars != code.co_freevars:
        raise NotInstalled("it uses other variables of the scope around it")
    function.__code__ = code


def _replace_defaults(function: FunctionType, tree: ast.Module, mutant: Mutant) -> None:
    """Evaluate the defaults of a function in its module."""
    names = mutant.function.split(".")
    body: Iterable[ast.stmt] = tree.body
    node: ast.stmt | None = None
    for name in names:
        node = next(
            each
            for each in body
            if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and each.name == name
        )
        body = node.body
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    node.decorator_list, node.returns = [], None
    arguments = node.args
    for argument in (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *filter(None, (arguments.vararg, arguments.kwarg)),
    ):
        argument.annotation = None
    head = ast.Module([node], type_ignores=[])
    made: dict[str, object] = {}
    try:
        exec(compile(head, "<defaults>", "exec"), dict(function.__globals__), made)
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        raise NotInstalled(f"its defaults cannot be evaluated: {error}") from None
    fresh = made[names[-1]]
    assert inspect.isfunction(fresh)
    function.__defaults__, function.__kwdefaults__ = fresh.__defaults__, fresh.__kwdefaults__
