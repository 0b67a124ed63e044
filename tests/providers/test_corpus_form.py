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


def section(title: str) -> str:
    """A part of docs/providers.md."""
    return DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_example_of_the_form_is_a_case_and_another_form_is_refused(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.+?)```", (CORPUS / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "case.toml"
    path.write_text(example)
    load(path)
    for old, new, words in (
        ("[expect]\ntext", "[expect]\ntexd", "unknown field `texd`"),
        ("[expect]\ntext", "[expect]\nstatus = 'failed'\ntext", "needs `meaning` or `sentence`"),
    ):
        assert old in example
        path.write_text(example.replace(old, new))
        with pytest.raises(CaseError, match=rf"case\.toml: .*{words}"):
            load(path)


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
