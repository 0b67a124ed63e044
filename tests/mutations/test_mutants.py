"""`make mutants`: what becomes a mutant, and what is kept of it."""

from __future__ import annotations

import ast
import gc
from pathlib import Path

import pytest

from durable_llm_streams.stores.redis.client import script
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.wire import sse

from . import verdicts as outcomes
from .by_hand import Gone, Slip, by_hand, mutant_of
from .generating_lua import generate_lua
from .installing import Functions, NotInstalled
from .mutant import PACKAGE, ROOMS, Mutant, files_of, fingerprint, functions_of, room_of, source_of
from .reach import Reach, Recorded, Run, Tracer, digest_of, mask, scripts_with
from .slips import SLIPS
from .slips_in_lua import IN_LUA
from .slips_in_stores import IN_REDIS, IN_SQLITE
from .verdicts import Verdict, Verdicts, evidence

HEARTBEAT = Slip(
    "retry-untold", "wire.sse:opening", 'b": stream-open\\nretry: %d\\n\\n" % retry_ms', 'b""'
)


def test_every_module_but_the_commands_is_in_a_room() -> None:
    paths = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    outside = {path for path in paths if not room_of(path) and not path.startswith("cli/")}
    assert outside <= {"__init__.py", "__main__.py", "_version.py"}, outside
    assert [room for room in ROOMS if not files_of(room)] == []


def test_a_slip_is_found_by_function_and_syntax_whatever_its_layout() -> None:
    slip = Slip(
        "any", "wire.sse:opening", "b': stream-open\\nretry: %d\\n\\n'    %(retry_ms)", 'b""'
    )
    mutant = mutant_of(slip)
    assert (mutant.room, mutant.address) == ("wire", "wire.sse.opening")
    text = mutant.applied(source_of(mutant.path))
    assert b'return (b"")\n' in text, text[:2000]
    ast.parse(text)


@pytest.mark.parametrize(
    ("slip", "why"),
    [
        (Slip("a", "wire.gone:f", "1", "2"), "there is no module wire.gone"),
        (Slip("b", "wire.sse:gone", "1", "2"), "wire.sse has no function gone"),
        (Slip("c", "wire.sse:opening", "gone(1)", "2"), r"has `gone\(1\)` 0 times"),
        (Slip("d", "gone.lua", "1", "2"), "there is no script gone.lua"),
        (Slip("e", "append.lua", "never there", "2"), "has `never there` 0 times"),
    ],
    ids=lambda value: value.name if isinstance(value, Slip) else "",
)
def test_a_slip_that_fits_no_more_is_left_out_with_a_sentence(slip: Slip, why: str) -> None:
    with pytest.raises(Gone, match=why):
        mutant_of(slip)
    found, gone = by_hand([slip, HEARTBEAT])
    assert [mutant.name for mutant in found] == ["retry-untold"]
    assert len(gone) == 1


def test_the_slips_have_names_of_their_own() -> None:
    names = [slip.name for slip in (*SLIPS, *IN_SQLITE, *IN_REDIS, *IN_LUA)]
    assert len(names) == len(set(names))
    assert len(names) >= 30


def test_a_mutant_of_a_script_is_a_script() -> None:
    lua51 = pytest.importorskip("lupa.lua51", reason="lupa is in the development set")
    mutants = generate_lua()
    assert len(mutants) > 100
    for mutant in mutants[::20]:
        text = mutant.applied(source_of(mutant.path)).decode()
        lua51.LuaRuntime().compile("--" + text.removeprefix("#!"))


def test_a_shared_part_belongs_to_the_scripts_that_include_it() -> None:
    assert {"claiming", "claim", "seize"} <= scripts_with("claiming")
    assert "append" not in scripts_with("claiming")


def test_an_installed_mutant_is_what_runs_everywhere(request: pytest.FixtureRequest) -> None:
    opening = sse.opening
    sound = opening.__code__
    request.addfinalizer(lambda: setattr(opening, "__code__", sound))
    assert opening(5) == b": stream-open\nretry: 5\n\n"
    Functions().install(mutant_of(HEARTBEAT))
    assert opening(5) == b""


def test_a_changed_default_is_evaluated_anew(request: pytest.FixtureRequest) -> None:
    opening = sse.opening
    sound, defaults = opening.__code__, opening.__defaults__
    request.addfinalizer(lambda: setattr(opening, "__code__", sound))
    request.addfinalizer(lambda: setattr(opening, "__defaults__", defaults))
    Functions().install(_changed(b"retry_ms: int = 1000", b"retry_ms: int = 2 * 3"))
    assert opening() == b": stream-open\nretry: 6\n\n"


def test_a_mutant_of_a_script_is_in_every_script_that_includes_it(
    request: pytest.FixtureRequest,
) -> None:
    slip = Slip("same number", "claiming.lua", "whole(tonumber(held[2]) + 1)", "held[2]")
    read, scripts = script._read, [Script("claim"), Script("seize"), Script("append")]
    foreign = Script("claim", "#!lua\nreturn 1")
    request.addfinalizer(lambda: setattr(script, "_read", read))
    before = [each.sha for each in scripts]
    Functions().install(mutant_of(slip))
    changed = [each.sha != sha for each, sha in zip(scripts, before, strict=True)]
    assert changed == [True, True, False]
    assert "local number = held[2]" in scripts[0].text
    assert foreign.text == "#!lua\nreturn 1"
    script._read = read
    for each in gc.get_objects():
        if isinstance(each, Script) and "held[2]\n" in each.text:
            each.__init__(each.name)  # type: ignore[misc]


def test_what_is_no_code_is_not_installed() -> None:
    with pytest.raises(NotInstalled, match="it is no code"):
        Functions().install(_changed(b"def opening(", b"def opening(("))


def test_the_lines_that_run_are_traced() -> None:
    tracer = Tracer()
    with tracer.tracing():
        sse.opening()
    lines, scripts = tracer.seen()
    function = next(each for each in functions_of("wire/sse.py") if each.name == "opening")
    assert lines == {"wire/sse.py": mask([function.last])}
    assert not scripts
    sse.frame("1.a.1", b"{}")
    with tracer.tracing():
        pass
    assert tracer.seen() == ({}, frozenset())


def test_a_test_reaches_a_mutant_by_its_line_or_once_the_file_has_changed_by_name() -> None:
    mutant = mutant_of(HEARTBEAT)
    (line,) = mutant.lines
    here = Run(0.1, {mutant.path: mask([line])})
    elsewhere = Run(0.1, {mutant.path: mask([line + 40])})
    failed = Run(0.1, {mutant.path: mask([line])}, trouble="it failed")
    runs = {"here": here, "elsewhere": elsewhere, "failed": failed}
    fresh = Recorded("", {mutant.path: digest_of(mutant.path)}, {}, dict(runs))
    assert set(Reach({"t.py": fresh}).tests_of(mutant)) == {"here"}
    names = {mutant.path: {"opening": mask([line + 40, line + 41])}}
    changed = Recorded("", {mutant.path: "another"}, names, dict(runs))
    assert set(Reach({"t.py": changed}).tests_of(mutant)) == {"elsewhere"}


def test_runs_at_the_same_time_keep_what_each_has_recorded(tmp_path: Path) -> None:
    path = tmp_path / "reach.pickle"
    one, other = Reach.load(path)[0], Reach.load(path)[0]
    one.record("a.py", Recorded("1", {}, {}))
    other.record("b.py", Recorded("2", {}, {}))
    one.save(path)
    other.save(path)
    assert {name: file.digest for name, file in Reach.load(path)[0].files.items()} == {
        "a.py": "1",
        "b.py": "2",
    }


def test_a_verdict_holds_while_the_function_and_the_tests_are_the_same(tmp_path: Path) -> None:
    mutant, this = mutant_of(HEARTBEAT), "tests/mutations/test_mutants.py::test"
    function = fingerprint(mutant)
    caught = Verdict(outcomes.CAUGHT, this, "it failed", 1, function, evidence([this]))
    path = tmp_path / "mutants" / "verdicts.jsonl"
    Verdicts(path).keep(mutant, caught)
    assert Verdicts(path).of(mutant, ["another"]) == caught
    survived = Verdict(outcomes.SURVIVED, "", "", 1, function, evidence([this]))
    Verdicts(path).keep(mutant, survived)
    assert Verdicts(path).of(mutant, [this]) == survived
    assert Verdicts(path).of(mutant, ["tests/conftest.py"]) is None
    Verdicts(path).keep(mutant, Verdict(outcomes.CAUGHT, this, "", 1, "older", evidence([this])))
    assert Verdicts(path).of(mutant, [this]) is None


def test_a_damaged_file_is_moved_aside_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    mutant, path = mutant_of(HEARTBEAT), tmp_path / "verdicts.jsonl"
    verdict = Verdict(outcomes.SURVIVED, "", "", 1, fingerprint(mutant), evidence([]))
    Verdicts(path).keep(mutant, verdict)
    with path.open("a") as file:
        file.write('{"mutant": "half of')
    found = Verdicts(path)
    assert "could not be read" in found.trouble
    assert "is now" in found.trouble
    assert found.of(mutant, []) == verdict
    assert not Verdicts(path).trouble
    (tmp_path / "reach.pickle").write_bytes(b"\x80nonsense")
    reach, sentence = Reach.load(tmp_path / "reach.pickle")
    assert not reach.files
    assert "reach.pickle.damaged" in sentence


def _changed(before: bytes, after: bytes) -> Mutant:
    """A mutant of `opening`'s head."""
    path = "wire/sse.py"
    start = source_of(path).index(before)
    function = next(each for each in functions_of(path) if each.name == "opening")
    return Mutant(path, "opening", function.line, (start, start + len(before)), after, "", "")
