"""Which tests try to break which promise, and how: read from the sources, without running them.

1. A mark is `pytest.mark.promise("id", ...)` as a decorator of a test or of a class of tests, or in
   a module's `pytestmark`. Any other mention of it binds nothing and is `stray`.
2. The kind of a test follows from its folder, else from what it is built with: the names that the
   test reaches through the functions, classes and fixtures of its own module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TypeGuard

TESTS = Path(__file__).parent

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Kind(Enum):
    """How a test tries to break a promise: its name and what it means, strongest first."""

    SIMULATION = (
        "simulation",
        "workers, readers and a store on a simulated clock; a seed chooses every order and failure",
    )
    SDK = ("AI SDK", "the unmodified AI SDK in Node.js, as a client and as the judge of a message")
    PROCESSES = (
        "real processes",
        "programs as they are run, killed, frozen, cut off and started again; the same for Redis",
    )
    BROWSER = ("browser", "the page in Chromium, in front of a real server")
    STORES = (
        "stores",
        "one suite for SQLite, Redis and Redis Cluster; random operations, compared with a model",
    )
    VIRTUAL = (
        "virtual time",
        "workers and readers on a clock that jumps, over a store that fails where the test says",
    )
    SERVER = (
        "server",
        "HTTP to a running server, a provider or a network that misbehaves, a real Redis",
    )
    FUZZ = ("fuzzing", "inputs that a machine makes up")
    EXAMPLES = ("cases", "chosen cases of one part by itself")

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def meaning(self) -> str:
        return self.value[1]


#: Kinds by folder.
_FOLDERS = {
    "simulation": Kind.SIMULATION,
    "crash": Kind.PROCESSES,
    "redis_faults": Kind.PROCESSES,
    "browser": Kind.BROWSER,
    "contract": Kind.STORES,
    "fuzz": Kind.FUZZ,
}

#: Kinds by what a test is built with: modules, and functions that start a process.
_TOOLS = {
    "tests.simulation": Kind.SIMULATION,
    "subprocess": Kind.PROCESSES,
    "create_subprocess_exec": Kind.PROCESSES,
    "tests.crash": Kind.PROCESSES,
    "tests.processes": Kind.PROCESSES,
    "tests.redis_faults": Kind.PROCESSES,
    "tests.ai_sdk_browser": Kind.SDK,
    "tests.node.ai_sdk_fold": Kind.SDK,
    "tests.contract": Kind.STORES,
    "tests.histories": Kind.STORES,
    "tests.virtual_time": Kind.VIRTUAL,
    "tests.run_world": Kind.VIRTUAL,
    "tests.app": Kind.SERVER,
    "tests.stub_server": Kind.SERVER,
    "tests.fake_provider": Kind.SERVER,
    "tests.redis_servers": Kind.SERVER,
    "tests.redis_databases": Kind.SERVER,
    "hypothesis": Kind.FUZZ,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A test that names promises.

    Attributes:
        path: Its file, relative to `tests/`.
        name: Its function.
        kind: How it tries to break them.
        promises: Their ids, as they are written.
    """

    path: str
    name: str
    kind: Kind
    promises: frozenset[str]


class _Module:
    """One file of tests."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path.relative_to(folder)
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self._imported = dict(self._imports())
        self._defined = dict(self._definitions())

    def bound(self) -> Iterator[Bound]:
        """Its tests that name promises."""
        everywhere = _ids(self._module_marks())
        for test, owner in self._tests():
            marks = [*test.decorator_list, *(owner.decorator_list if owner else ())]
            names = everywhere | _ids(marks)
            if names:
                yield Bound(self._name(), test.name, self._kind(test), frozenset(names))

    def stray(self) -> Iterator[str]:
        """Where the mark is mentioned and binds nothing."""
        used = {id(call.func) for call in _calls(self._module_marks())}
        for test, owner in self._tests():
            decorators = [*test.decorator_list, *(owner.decorator_list if owner else ())]
            used |= {id(call.func) for call in _calls(decorators)}
        for node in ast.walk(self.tree):
            if _is_mark(node) and id(node) not in used:
                yield f"{self._name()}:{node.lineno}"

    def _name(self) -> str:
        return self.path.as_posix()

    def _module_marks(self) -> list[ast.expr]:
        for node in self.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                    return value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        return []

    def _tests(self) -> Iterator[tuple[_Function, ast.ClassDef | None]]:
        """Its tests, each with its class. A class that others inherit from marks none of them."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                owner = node if node.name.startswith("Test") else None
                yield from ((item, owner) for item in node.body if _is_test(item))
            elif _is_test(node):
                yield node, None

    def _imports(self) -> Iterator[tuple[str, str]]:
        package = [TESTS.name, *self.path.parent.parts]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield name.asname or name.name, name.name
            elif isinstance(node, ast.ImportFrom):
                home = package[: len(package) - node.level + 1] if node.level else []
                origin = ".".join([*home, *([node.module] if node.module else [])])
                for name in node.names:
                    yield name.asname or name.name, f"{origin}.{name.name}"

    def _definitions(self) -> Iterator[tuple[str, ast.stmt]]:
        for node in self.tree.body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield node.name, node
                case ast.Assign(targets=[ast.Name(id=name)]):
                    yield name, node

    def _kind(self, test: _Function) -> Kind:
        folder = self.path.parts[0]
        if folder in _FOLDERS:
            return _FOLDERS[folder]
        if self.path.stem.endswith("_fuzz"):
            return Kind.FUZZ
        reached = {kind for name in self._reached(test) for kind in self._kinds(name)}
        return next((kind for kind in Kind if kind in reached), Kind.EXAMPLES)

    def _kinds(self, name: str) -> Iterator[Kind]:
        origin = self._imported.get(name, name)
        for tool, kind in _TOOLS.items():
            if origin == tool or origin.startswith(f"{tool}."):
                yield kind

    def _reached(self, test: _Function) -> set[str]:
        """The names in a test, and in what it uses of its module, fixtures included."""
        reached: set[str] = set()
        waiting: list[ast.AST] = [test]
        while waiting:
            for node in ast.walk(waiting.pop()):
                match node:
                    case ast.Name(id=name) | ast.arg(arg=name) if name not in reached:
                        reached.add(name)
                        waiting += [self._defined[name]] if name in self._defined else []
                    case ast.Attribute(attr=name):
                        reached.add(name)
        return reached


@cache
def bound_tests(folder: Path = TESTS) -> tuple[Bound, ...]:
    """The tests that name promises, in the order of their files and lines."""
    return tuple(bound for module in _modules(folder) for bound in module.bound())


def stray_marks(folder: Path = TESTS) -> list[str]:
    """`FILE:LINE` of every mention of the mark that binds no test."""
    return [where for module in _modules(folder) for where in module.stray()]


def _modules(folder: Path) -> Iterator[_Module]:
    for path in sorted(folder.rglob("*.py")):
        if "node_modules" not in path.parts:
            yield _Module(path, folder)


def _is_test(node: ast.AST) -> TypeGuard[_Function]:
    return isinstance(node, _Function) and node.name.startswith("test_")


def _is_mark(node: ast.AST) -> TypeGuard[ast.Attribute]:
    match node:
        case ast.Attribute(attr="promise", value=ast.Attribute(attr="mark") | ast.Name(id="mark")):
            return True
    return False


def _calls(expressions: Iterable[ast.expr]) -> Iterator[ast.Call]:
    for expression in expressions:
        if isinstance(expression, ast.Call) and _is_mark(expression.func):
            yield expression


def _ids(expressions: Iterable[ast.expr]) -> set[str]:
    arguments = [argument for call in _calls(expressions) for argument in call.args]
    return {str(item.value) for item in arguments if isinstance(item, ast.Constant)}
