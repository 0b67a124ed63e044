"""What a target is, its corpus, and how inputs are made of it."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

#: What stands for a secret in the inputs. Nothing that people read may hold it.
SECRET = "sk-do-not-tell-0123456789"

#: It raises only where a promise is broken.
Check = Callable[[bytes], None]
#: Gives the check of something that reads foreign bytes.
Target = Callable[[], AbstractContextManager[Check]]

#: Words that no format expects, or not there.
HOSTILE = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xf0\x9f"),
    *(b"\x98\x80", b"null", b"true", b"-1", b"1e999", b"NaN", b"inf", b"9" * 400, b"9" * 5000),
    *(b"[" * 2000, b"\\ud83d", b"\\ude00", "é\u0661".encode(), b"A" * 300, SECRET.encode()),
)
_WORD = re.compile(rb'"[^"\\\n]*"|[\w.%-]+|.', re.DOTALL)
_LONGEST_WORD = 64

_ONE_BY_ONE = 512
_SPLITS = 2
_MOST_CUTS = 8


def corpus(name: str) -> dict[str, bytes]:
    """The inputs that are kept for a target, by their files' names."""
    folder = CORPUS / name
    paths = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return {path.name: path.read_bytes() for path in paths}


def words(name: str) -> list[bytes]:
    """The words and the short lines of a target's corpus, and what is hostile to all."""
    kept = corpus(name).values()
    found = {part for data in kept for part in (*_WORD.findall(data), *data.splitlines(True))}
    return sorted({*HOSTILE, *(word for word in found if len(word) <= _LONGEST_WORD)})


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
    is_sentence(text)
    assert SECRET not in text


def is_sentence(text: str) -> None:
    """A sentence or more."""
    assert text.rstrip().endswith((".", ":")), text
