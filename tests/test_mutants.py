"""`make mutants`: what is caught, what hangs, what is damaged or missing, and what is kept."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatch_build import BuildError
from tests.node import WEB
from tests.redis_servers import require_redis
from tools.mutants import __main__ as command
from tools.mutants import report, stryker, verdicts
from tools.mutants.by_hand import Gone, Slip, mutant_of
from tools.mutants.generating_lua import generate_lua
from tools.mutants.mutant import ROOMS, ROOT, files, fingerprint, room_of, source_of
from tools.mutants.reach import Reach, Recorded, scripts_with
from tools.mutants.session import Session
from tools.mutants.verdicts import Verdict, Verdicts, evidence

TESTS = """
import pytest
from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from durable_llm_streams.wire import sse
from tests.redis_servers import redis_server

def test_opening():
    assert b"retry: 5" in sse.opening(5)
    assert b"retry: 1000" in sse.opening()

def test_frame():
    for _ in iter(lambda: sse.frame("1.a.1", b"{}").endswith(bytes(2 * [10])), True):
        pass

@pytest.mark.asyncio(loop_scope="session")
async def test_redis(redis_server):
    store = RedisStore(RedisAddress.parse(redis_server.url))
    await store.open()
    assert not (await store.chats.page("alice")).chats
    await store.close()

def test_that_fails_without_a_mutant():
    sse.opening()
    assert False
"""
_HEAD = 'b": stream-open\\nretry: %d\\n\\n" % retry_ms'
_FRAME = 'b"id: %b\\ndata: %b\\n\\n" % (cursor.encode(), chunk)'
_SPIN = "while true do end"
SILENT = Slip("silent", "wire.sse:opening", _HEAD, "b''")
#: Slips, what becomes of each, and the test that sees it.
CASES = (
    (SILENT, "caught", "test_opening"),
    (Slip("default", "wire.sse:opening", "1000", "2 * 3"), "caught", "test_opening"),
    (Slip("hangs", "wire.sse:frame", _FRAME, "chunk"), "timed out", "test_frame"),
    (Slip("same", "wire.sse:opening", _HEAD, 'b"retry: %d" % retry_ms'), "survived", ""),
    (Slip("elsewhere", "wire.sse:SSEParser.__init__", "self._size = 0", "pass"), "unreached", ""),
    (Slip("no code", "wire.sse:opening", f"return {_HEAD}", "return [*]"), "unfit", ""),
    (Slip("spins", "chats.lua", "local replies, offset = {}, 0", _SPIN), "timed out", "test_redis"),
    # The server that spun is another one now.
    (Slip("still", "chats.lua", "if #part < 2 * limit then", "if #part < 1 then"), "survived", ""),
    (Slip("part", "shared.lua", "local call = redis.call", "local call"), "caught", "test_redis"),
)


def run_session(folder: Path) -> None:
    """Judge the slips by `TESTS` in this process, and print what was found."""
    found: dict[str, Any] = {"said": []}

    def work(session: Session) -> None:
        reach = Reach(folder / "reach.pickle")
        session.record(reach, ["test_example.py"])
        found["failed"] = list(reach.failed(["test_example.py"]))
        mutants = [mutant_of(slip) for slip, *_ in CASES]
        mutants[1] = replace(mutants[1], lines=())  # in the head of the function
        found["outcomes"] = {
            mutant.name: [verdict.outcome, verdict.by.partition("::")[2]]
            for mutant, verdict in session.judge(mutants, reach)
        }

    (folder / "test_example.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    session = Session(work, folder / "work", 1, found["said"].append, patience=3.0)
    options = ["-p", "no:cacheprovider", f"--rootdir={folder}", "-c", str(folder / "pytest.ini")]
    pytest.main([*options, str(folder / "test_example.py")], plugins=[session])
    if session.error is not None:
        raise session.error
    found["left"] = [path.name for path in (folder / "work").iterdir() if path.name.isdigit()]
    print(json.dumps(found))


def judge(folder: Path, **environment: str) -> dict[str, Any]:
    """What a session in a process of its own finds."""
    (folder / "work").mkdir()
    program = f"import tests.test_mutants as it; it.run_session(it.Path({str(folder)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    found: dict[str, Any] = json.loads(ended.stdout.rstrip().rpartition("\n")[2])
    assert found["left"] == [], "folders of processes are left over"
    assert found["failed"][0] == "test_example.py::test_that_fails_without_a_mutant"
    return found


def test_what_hangs_or_makes_redis_spin_is_bounded_and_all_else_is_judged(tmp_path: Path) -> None:
    require_redis()
    found = judge(tmp_path)
    assert found["said"] == ["1 of 1 files of tests are recorded."]
    assert found["outcomes"] == {slip.name: [outcome, by] for slip, outcome, by in CASES}


def test_without_redis_its_mutants_are_reported_as_unreached(tmp_path: Path) -> None:
    found = judge(tmp_path, DLS_REDIS_SERVER=str(tmp_path / "none"), CI="")
    assert "There is no Redis server here: tests that need one" in found["said"][0]
    expected = {
        slip.name: ["unreached", ""] if slip.where.endswith(".lua") else [outcome, by]
        for slip, outcome, by in CASES
    }
    assert found["outcomes"] == expected


def test_every_slip_fits_the_product_as_it_is() -> None:
    mutants = [mutant_of(slip) for slip in command.ALL_SLIPS]
    for mutant in mutants:
        if mutant.path.endswith(".py"):
            ast.parse(mutant.applied(source_of(mutant.path)))
    assert len({mutant.name for mutant in mutants}) == len(mutants), "two slips have the same name"
    for where, before, why in (
        ("wire.gone:f", "1", "there is no module wire.gone"),
        ("wire.sse:gone", "1", "wire.sse has no function gone"),
        ("wire.sse:opening", "gone(1)", r"has `gone\(1\)` 0 times"),
        ("gone.lua", "1", "there is no script gone.lua"),
        ("append.lua", "never there", "has `never there` 0 times"),
    ):
        with pytest.raises(Gone, match=why):
            mutant_of(Slip("any", where, before, "2"))


def test_every_module_but_the_commands_is_in_a_room() -> None:
    outside = {path for path in files() if not room_of(path) and not path.startswith("cli/")}
    assert outside <= {"__init__.py", "__main__.py", "_version.py"}, outside
    assert set(map(room_of, files())) >= set(ROOMS), "a room is empty"


def test_a_mutant_of_a_script_is_a_script() -> None:
    lua51 = pytest.importorskip("lupa.lua51", reason="lupa is in the development set")
    mutants = generate_lua()
    assert len(mutants) > 100, "the scripts have hundreds of places to change"
    for mutant in mutants[::20]:
        text = mutant.applied(source_of(mutant.path)).decode()
        lua51.LuaRuntime().compile("--" + text.removeprefix("#!"))
    assert {"claiming", "claim", "claim_run"} <= scripts_with("claiming")
    assert "append" not in scripts_with("claiming")


def test_a_verdict_holds_while_the_function_and_the_tests_are_the_same(tmp_path: Path) -> None:
    mutant, this = mutant_of(SILENT), "tests/test_mutants.py::test"
    known = Verdicts(tmp_path / "verdicts.jsonl")
    for outcome, by, function, others, holds in (
        (verdicts.CAUGHT, this, fingerprint(mutant), ["another"], True),
        (verdicts.SURVIVED, "", fingerprint(mutant), [this], True),
        (verdicts.SURVIVED, "", fingerprint(mutant), ["tests/conftest.py"], False),
        (verdicts.CAUGHT, this, "older", [this], False),
    ):
        known.keep(mutant, Verdict(outcome, by, "", 1, function, evidence([this])))
        again = Verdicts(tmp_path / "verdicts.jsonl").of(mutant, others)
        assert (again is not None) == holds, f"{outcome} by {by!r} of {function}"


def test_damaged_files_are_moved_aside_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    mutant, path = mutant_of(SILENT), tmp_path / "verdicts.jsonl"
    verdict = Verdict(verdicts.SURVIVED, "", "", 1, fingerprint(mutant), evidence([]))
    Verdicts(path).keep(mutant, verdict)
    with path.open("a") as file:
        file.write('{"mutant": "half of')
    damaged = Verdicts(path)
    assert "verdicts.jsonl could not be read" in damaged.trouble
    assert damaged.of(mutant, []) == verdict
    assert not Verdicts(path).trouble
    path = tmp_path / "reach.pickle"
    path.write_bytes(b"\x80nonsense")
    one, other = Reach(path), Reach(path)
    assert "reach.pickle.damaged" in one.trouble
    for name, reach in (("a.py", one), ("b.py", other)):
        reach.record(name, Recorded("1", {}, {}))
        reach.save()
    assert set(Reach(path).files) == {"a.py", "b.py"}, "a run overwrites what another recorded"


def test_a_room_is_counted_and_kept_and_damaged_results_are_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "KEPT", tmp_path)
    monkeypatch.setattr(report, "read_equivalent", lambda: {"log": {"c": "why", "a": "why"}})
    path, said = tmp_path / "results.json", list[str]()
    path.write_text('{"rooms": 1')
    counted = report.Report(said.append)
    for outcome in ("a caught", "b timed out", "c survived", "d unreached", "e unfit", "f caught"):
        counted.add("log", outcome[0], outcome[2:])
    counted.keep("make mutants", path)
    assert "a test catches this one" in said[0]
    assert said[0].endswith(": a")
    assert said[1] == "survived, no test reaches it: d"
    assert "results.json could not be read" in said[2]
    other = report.Report(said.append)
    other.add("runs", "a", "caught")
    other.keep("another", path)
    rooms = json.loads(path.read_text())["rooms"]
    figures = {"mutants": 5, "caught": 2, "timed out": 1, "survived": 1, "equivalent": 1}
    assert rooms["log"] == {"command": "make mutants", **figures, "score": 75.0, "survivors": ["d"]}
    assert rooms["runs"]["score"] == 100.0


def test_reviewed_survivors_have_rooms_and_reasons_and_damage_is_a_sentence(tmp_path: Path) -> None:
    for room, entries in report.read_equivalent().items():
        assert room in (*ROOMS, *stryker.ROOMS)
        assert all(len(why) > 10 for why in entries.values()), f"no reason: {entries}"
    (tmp_path / "equivalent.json").write_text('["x"]')
    with pytest.raises(report.Damaged, match=r"equivalent\.json cannot be read: .*object"):
        report.read_equivalent(tmp_path / "equivalent.json")


def test_strykers_report_names_mutants_by_their_text(tmp_path: Path) -> None:
    mutants = [
        {"status": status, "replacement": by, "location": {"start": start, "end": end}}
        for status, by, start, end in (
            ("Killed", "let", {"line": 1, "column": 1}, {"line": 1, "column": 6}),
            ("Timeout", "var", {"line": 1, "column": 1}, {"line": 1, "column": 6}),
            ("Survived", "b = second()", {"line": 1, "column": 7}, {"line": 2, "column": 10}),
            ("NoCoverage", "true", {"line": 3, "column": 10}, {"line": 3, "column": 15}),
            ("Ignored", "false", {"line": 3, "column": 10}, {"line": 3, "column": 15}),
        )
    ]
    file = {"source": "const a =\n  first();\n  return a > 1;\n", "mutants": mutants}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"files": {"src/state/a.ts": file}}))
    assert list(stryker.read_report(path)) == [
        ("state.a: const a =: const -> let", "caught"),
        ("state.a: const a =: const -> var", "timed out"),
        ("state.a: const a =: a = first() -> b = second()", "survived"),
        ("state.a: return a > 1;: a > 1 -> true", "unreached"),
    ]
    for text in ("", "[]", '{"files": {"a": {"mutants": [{}]}}}'):
        path.write_text(text)
        with pytest.raises(report.Damaged, match=r"Stryker's report .*report\.json cannot be read"):
            list(stryker.read_report(path))


def test_one_command_has_all_rooms_and_reports_a_missing_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> list[str]:
        raise BuildError("Node.js 22 or newer is needed. Install it.")

    monkeypatch.setattr(stryker, "tool", missing)
    for room in stryker.ROOMS:
        assert command.main(["--room", room]) == 2
        assert capsys.readouterr().err == "Node.js 22 or newer is needed. Install it.\n"
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = capsys.readouterr().out
    assert [room for room in (*ROOMS, *stryker.ROOMS) if room not in said] == []


def test_stryker_meets_the_packages_of_the_page_and_its_lock_names_no_host() -> None:
    ours, theirs = (json.loads((at / "package.json").read_text()) for at in (stryker.HERE, WEB))
    wanted = {**theirs.get("dependencies", {}), **theirs["devDependencies"]}
    shared = {name: wanted.get(name, version) for name, version in ours["devDependencies"].items()}
    assert ours["devDependencies"] == shared, "give both package.json the same versions"
    lock = json.loads((stryker.HERE / "package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
