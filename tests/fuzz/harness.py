"""What a target is, its corpus, and how inputs are made of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parent / "corpus"

#: What stands for a secret in the inputs. Nothing that people read may hold it.
SECRET = "sk-do-not-tell-0123456789"

Check = Callable[[bytes], None]

_ONE_BY_ONE = 512
_SPLITS = 2
_MOST_CUTS = 8


class Target(NamedTuple):
    """Something that reads foreign bytes.

    Attributes:
        opened: gives the function of bytes; it raises only where a promise is broken.
        tokens: words of the format, for those who make up inputs.
    """

    opened: Callable[[], AbstractContextManager[Check]]
    tokens: Sequence[bytes] = ()


def plain(check: Check, *tokens: bytes) -> Target:
    """A target that needs nothing to be open."""
    return Target(lambda: nullcontext(check), tokens)


def corpus(name: str) -> dict[str, bytes]:
    """The inputs that are kept for a target, by their files' names."""
    folder = CORPUS / name
    paths = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return {path.name: path.read_bytes() for path in paths}


def keep(name: str, data: bytes) -> Path:
    """Put an input that broke a target into its corpus."""
    path = CORPUS / name / f"broke-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Ways to cut bytes into pieces, always the same ones for the same bytes."""
    if len(data) <= _ONE_BY_ONE:
        yield [data[at : at + 1] for at in range(len(data))]
    draw = random.Random(data)
    for _ in range(_SPLITS):
        cuts = sorted(draw.randint(0, len(data)) for _ in range(draw.randint(1, _MOST_CUTS)))
        yield [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)])]


def assert_sentence(text: str) -> None:
    """What people read: a sentence or more, and no secret."""
    assert text.rstrip().endswith((".", ":")), text
    assert SECRET not in text
