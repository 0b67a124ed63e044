"""A mutant: one small change of one function, and where the product's functions are."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "durable_llm_streams"

#: The rooms, each with the files and folders that belong to it. The longest match wins.
ROOMS: Final[dict[str, tuple[str, ...]]] = {
    "fold": ("fold.py",),
    "chunks": ("chunks.py",),
    "wire": ("wire/",),
    "model": (
        *("model.py", "store/", "errors.py", "source.py"),
        *("backoff.py", "clock.py", "ids.py", "redaction.py"),
    ),
    "log": ("log/",),
    "runs": ("runs/",),
    "sqlite": ("stores/sqlite/",),
    "redis": ("stores/redis/",),
    "stores": ("stores/",),
    "migrate": ("migrate/",),
    "server": ("server/",),
    "providers": ("providers/",),
    "client": ("client/",),
}


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        path: of the file, below the package's folder.
        function: the qualified name of the outermost function; of a script, the script's name.
        line: where that function begins.
        span: the bytes that are replaced.
        replacement: what stands there instead.
        before: the statement, in one line.
        after: the same with the change.
        lines: those of the statement; empty: any line of the function.
        name: of one that was written by hand.
        number: distinguishes those with the same text.
    """

    path: str
    function: str
    line: int
    span: tuple[int, int]
    replacement: bytes
    before: str
    after: str
    lines: tuple[int, ...] = ()
    name: str = ""
    number: int = 1

    @property
    def room(self) -> str:
        return room_of(self.path)

    @property
    def key(self) -> str:
        """Its name, whatever happens in the other lines of its file."""
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{self.address}: {self.before} -> {self.after}{again}"

    @property
    def address(self) -> str:
        """The function, as `log.reader.follow`."""
        module = self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        return module if self.path.endswith(".lua") else f"{module}.{self.function}"

    def applied(self, source: bytes) -> bytes:
        """The file's text with the change in it."""
        start, end = self.span
        return source[:start] + self.replacement + source[end:]


def room_of(path: str) -> str:
    """The room of a file; "" for one that is in none."""
    prefixes = ((prefix, room) for room, own in ROOMS.items() for prefix in own)
    return max(((len(p), room) for p, room in prefixes if path.startswith(p)), default=(0, ""))[1]


def files() -> list[str]:
    """The Python files of the product."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@cache
def source_of(path: str) -> bytes:
    """A file's text as it is when it is first asked for."""
    return (PACKAGE / path).read_bytes()


@dataclass(frozen=True)
class Function:
    """An outermost function of a file."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def line(self) -> int:
        """The first one, decorators included: as `co_firstlineno` has it."""
        return min([self.node.lineno, *(each.lineno for each in self.node.decorator_list)])

    @property
    def last(self) -> int:
        return self.node.end_lineno or self.node.lineno

    @property
    def body(self) -> range:
        """The lines of its body."""
        return range(self.node.body[0].lineno, self.last + 1)


@cache
def functions_in(source: bytes) -> tuple[Function, ...]:
    """The outermost functions of a text, methods included."""
    found: list[Function] = []

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(Function(f"{prefix}{node.name}", node))

    look(ast.parse(source).body, "")
    return tuple(found)


def functions_of(path: str) -> tuple[Function, ...]:
    """The outermost functions of a file."""
    return functions_in(source_of(path))


def function_of(mutant: Mutant) -> Function:
    """The function that a mutant of Python changes."""
    return next(each for each in functions_of(mutant.path) if each.line == mutant.line)


def fingerprint(mutant: Mutant) -> str:
    """Of the function's text without the change: a verdict holds as long as that is the same."""
    source = source_of(mutant.path)
    if mutant.path.endswith(".py"):
        own = function_of(mutant)
        source = b"".join(source.splitlines(keepends=True)[own.line - 1 : own.last])
    return digest(source)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def one_line(text: str) -> str:
    """A text without its line breaks and indentation."""
    return re.sub(r"\s+", " ", text).strip()
