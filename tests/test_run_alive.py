"""Signs of life, and parts that come whole: what they do to time limits and to the message."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Alive, Citation, File, LateThought, Limits

from .run_world import Ended, World
from .scripted_source import Done, Reason, Say, Scene, ScriptedSource, Show, Wait
from .virtual_time import elapsed, virtual

PICTURE = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")

Kind = Literal["chunk", "comment", "thinking"]


async def play(folder: Path, *scenes: Scene, limits: Limits | None = None) -> tuple[Ended, int]:
    """One run. Returns how often the source was asked, too."""
    source = ScriptedSource(*scenes)
    async with World(folder) as world:
        ended = await world.ended(await world.ask(await world.worker(source, limits)))
        return ended, len(source.prompts)


def alive(kind: Kind, *, times: int, every: float) -> Scene:
    return [step for _ in range(times) for step in (Wait(every), Show(Alive(kind)))]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("kind", ["comment", "chunk"])
@virtual
async def test_a_model_may_think_for_ten_minutes_while_it_shows_life(
    tmp_path: Path, kind: Kind
) -> None:
    scene: Scene = [*alive(kind, times=6, every=100), Say("A"), Done()]
    ended, asked = await play(tmp_path, scene)
    assert (ended.text, asked) == ("A", 1)
    assert ended.metadata["timing"]["firstTokenMs"] == 600_000


@virtual
async def test_a_model_that_thinks_in_silence_has_the_longer_limit(tmp_path: Path) -> None:
    ended, asked = await play(tmp_path, [Show(Alive("thinking")), Wait(800), Say("A"), Done()])
    assert (ended.text, asked) == ("A", 1)


@pytest.mark.promise("honest-failure")
@virtual
async def test_a_model_that_only_shows_life_is_not_asked_twice(tmp_path: Path) -> None:
    scene = alive("comment", times=2000, every=10)
    seconds = await elapsed(play(tmp_path, scene))
    assert 900 <= seconds < 901
    ended, asked = await play(tmp_path / "again", scene)
    assert (ended.status, asked) == (Status.FAILED, 1)
    assert "took too long to think" in ended.metadata["error"]


@pytest.mark.promise("honest-failure")
@virtual
async def test_the_same_time_limit_is_not_bought_a_third_time(tmp_path: Path) -> None:
    ended, asked = await play(tmp_path, [Wait()])
    assert (ended.status, asked) == (Status.FAILED, 2)
    assert "did not begin to answer in time" in ended.metadata["error"]


@pytest.mark.promise("honest-failure")
@virtual
async def test_a_model_that_stops_at_the_same_word_is_not_asked_again(tmp_path: Path) -> None:
    ended, asked = await play(tmp_path, [Say("A word"), Wait()])
    assert (ended.status, ended.text, asked) == (Status.FAILED, "A word", 2)


@virtual
async def test_between_tokens_chunks_are_life_and_comments_are_not(tmp_path: Path) -> None:
    chunks: Scene = [Say("A"), *alive("chunk", times=10, every=50), Say("B"), Done()]
    ended, asked = await play(tmp_path, chunks)
    assert (ended.text, asked) == ("AB", 1)
    comments: Scene = [Say("A"), *alive("comment", times=10, every=50), Say("B"), Done()]
    ended, asked = await play(tmp_path / "comments", comments, [Say("C"), Done()])
    assert (ended.text, asked) == ("C", 2)
    assert ended.notices[0]["reason"] == "The model stopped answering."


@pytest.mark.promise("one-clean-answer")
@virtual
async def test_a_thought_that_is_known_late_is_not_text(tmp_path: Path) -> None:
    scene: Scene = [Say("Let me ", "see. "), Show(LateThought()), Say("A cat."), Done()]
    ended, _ = await play(tmp_path, scene)
    assert ended.text == "A cat."
    assert [part.get("text") for part in ended.fold.parts] == [None, "Let me see. ", "A cat."]
    assert ended.kinds.count("reset-step") == 1


@virtual
async def test_a_picture_stands_where_it_comes_and_a_source_cuts_no_text(tmp_path: Path) -> None:
    scene: Scene = [
        Say("One "),
        Show(PAGE),
        Say("text. "),
        Show(PICTURE),
        Say("Behind it."),
        Done(),
    ]
    ended, _ = await play(tmp_path, scene)
    assert [part["type"] for part in ended.fold.parts] == [
        "step-start",
        "text",
        "source-url",
        "file",
        "text",
    ]
    assert [part["text"] for part in ended.fold.parts if "text" in part] == [
        "One text. ",
        "Behind it.",
    ]
    source, file = ended.fold.parts[2:4]
    assert (source["url"], source["title"]) == (PAGE.url, PAGE.title)
    assert (file["url"], file["mediaType"]) == (PICTURE.url, PICTURE.media_type)


@virtual
async def test_a_picture_alone_is_an_answer(tmp_path: Path) -> None:
    ended, asked = await play(tmp_path, [Reason("Hm"), Show(PICTURE), Done()])
    assert (ended.status, asked) == (Status.FINISHED, 1)
    assert [part["type"] for part in ended.fold.parts] == ["step-start", "reasoning", "file"]


@pytest.mark.parametrize("reason", ["length", "content-filter", "stop"])
@virtual
async def test_the_finish_reason_is_in_the_stored_message(tmp_path: Path, reason: str) -> None:
    ended, _ = await play(tmp_path, [Say("A"), Done(reason)])
    assert ended.metadata["finishReason"] == reason
