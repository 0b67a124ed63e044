"""The corpus itself: its form is strict, its files are complete, its kinds are documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from durable_llm_streams.providers.failures.meanings import MEANINGS
from durable_llm_streams.providers.requests.dialect import Dialect
from tests.providers.case import CORPUS, CaseError, load, name_of, paths

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/providers.md").read_text()

GOOD = """
title = "A case"
kind = "end"

[[answer]]
body = 'data: [DONE]'

[expect]
text = "x"
"""


def section(title: str) -> str:
    """A part of docs/providers.md."""
    return DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def written(folder: Path, text: str) -> Path:
    path = folder / "end" / "case.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "end"', 'kind = "end"\ncolour = 1', "unknown field `colour`"),
        ("body = ", "body = [{ paus = 1.0 }]\ntype = ", r"unknown field `paus`.*answer\[0\].body"),
        ('text = "x"', 'status = "failed"', "needs `meaning` or `sentence`"),
        ('text = "x"', "requests = 1", "needs `text`"),
        ("[[answer]]\nbody = 'data: [DONE]'", "", "missing required field `answer`"),
        ('title = "A case"', "title = ", "Invalid value"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_name(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(CaseError, match=rf"(?s)end/case\.toml: .*{words}"):
        load(written(tmp_path, GOOD.replace(old, new)))


def test_the_example_of_the_form_is_a_case(tmp_path: Path) -> None:
    assert load(written(tmp_path, GOOD)).title == "A case"
    (example,) = re.findall(r"```toml\n(.+?)```", (CORPUS / "README.md").read_text(), re.DOTALL)
    (tmp_path / "end" / "case.toml").write_text(example)
    load(tmp_path / "end" / "case.toml")


def test_every_file_lies_in_the_folder_of_its_kind_with_a_title_of_its_own() -> None:
    cases = [(path, load(path)) for path in paths()]
    assert [name_of(path) for path, case in cases if case.kind != path.parent.name] == []
    titles = [(case.kind, case.title) for _, case in cases]
    assert sorted(titles) == sorted(set(titles))


def test_every_kind_of_the_corpus_is_a_row_of_the_table_of_kinds() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", section("Kinds and their rules"), re.MULTILINE)
    assert sorted(rows) == sorted({path.parent.name for path in paths()})


def test_every_meaning_of_a_failure_is_documented_with_its_sentence() -> None:
    lines = section("Failures").splitlines()
    for name, meaning in MEANINGS.items():
        rows = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1, name
        assert meaning.sentence in rows[0]
        assert meaning.asked_again in rows[0]


def test_every_field_of_a_dialect_is_documented() -> None:
    text = section("Dialects")
    assert [name for name in Dialect.__struct_fields__ if f"`{name}`" not in text] == []


#: No answer of a provider comes to these alone: the next rung or attempt follows.
_NOT_LAST = {"prefill", "job-gone"}


def test_every_meaning_of_a_failure_has_a_case() -> None:
    met = {expect.meaning for path in paths() for expect in load(path).expectations}
    assert set(MEANINGS) - met <= _NOT_LAST
