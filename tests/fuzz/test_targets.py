"""Every target over its corpus and over fresh inputs, and the command that searches for more."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as command
from tests.fuzz import harness
from tests.fuzz.harness import CORPUS, Check, corpus, words
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.promise("foreign-bytes", "no-secrets")

_EXAMPLES = 100
_MOST_BYTES = 8192
_MOST_EDITS = 6

_places = st.integers(0, _MOST_BYTES)


@pytest.fixture
def check(name: str) -> Iterator[Check]:
    with TARGETS[name]() as check:
        yield check


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_breaks_nothing(name: str, check: Check) -> None:
    kept = corpus(name)
    assert kept, f"tests/fuzz/corpus/{name} is empty"
    for file, data in kept.items():
        try:
            check(data)
        except Exception as error:
            error.add_note(f"by tests/fuzz/corpus/{name}/{file}")
            raise


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One of the seeds after a few edits: bytes and words put in, stretches cut, doubled, mixed."""
    data = draw(st.sampled_from(seeds))
    word = st.sampled_from(tokens) | st.binary(min_size=1, max_size=4)
    for _ in range(draw(st.integers(1, _MOST_EDITS))):
        begin, end = sorted(draw(_places) % (len(data) + 1) for _ in range(2))
        edit = draw(st.sampled_from(("insert", "replace", "cut", "double", "mix")))
        if edit == "insert":
            data = data[:begin] + draw(word) + data[begin:]
        elif edit == "replace":
            drawn = draw(word)
            data = data[:begin] + drawn + data[begin + len(drawn) :]
        elif edit == "cut":
            data = data[:begin] + data[end:]
        elif edit == "double":
            data = data[:end] + data[begin:end] + data[end:]
        else:
            other = draw(st.sampled_from(seeds))
            data = data[:begin] + other[draw(_places) % (len(other) + 1) :]
    return data[:_MOST_BYTES]


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Anything; words of the format in any order; and what is in the corpus, damaged."""
    tokens = words(name)
    mixed = st.lists(st.sampled_from(tokens) | st.binary(max_size=4), max_size=20).map(b"".join)
    return st.binary(max_size=100) | mixed | damaged(list(corpus(name).values()), tokens)


# Fresh inputs each time, on every machine: so no profile that repeats them (Hypothesis has one for
# CI). What fails is shrunk, printed, and kept by Hypothesis for the next run.
@settings(
    derandomize=False,
    max_examples=_EXAMPLES,
    deadline=None,
    print_blob=True,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.promise("owned") if name == "cookie" else ())
        for name in TARGETS
    ],
)
def test_fresh_inputs_break_nothing(name: str, check: Check, data: st.DataObject) -> None:
    made = data.draw(inputs(name))
    note(f"Keep it: python -m tests.fuzz {name} --keep {base64.b64encode(made).decode()}")
    check(made)


def test_the_command_keeps_an_input_and_reports_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert command.main(["cursor"]) == 2
    assert "scripts/bootstrap fuzz" in capsys.readouterr().err
    monkeypatch.setattr(harness, "CORPUS", tmp_path)
    data = b"\0\xff, and a line\n"
    assert command.main(["cursor", "--keep", base64.b64encode(data).decode()]) == 0
    assert list(corpus("cursor").values()) == [data]
    with pytest.raises(SystemExit):
        command.main(["no-such-target"])
    assert "'cursor'" in capsys.readouterr().err
