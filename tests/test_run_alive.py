"""Signs of life, and parts that come whole: what they do to time limits and to the message."""

from __future__ import annotations

from typing import Literal

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.source import Alive, Citation, File, LateThought
from durable_llm_streams.runs import Limits

from . import one_run
from .run_world import Ended, World, in_world
from .scripted_source import Done, Fail, Say, Scene, ScriptedSource, Show, Wait
from .virtual_time import now

PICTURE = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")

Kind = Literal["chunk", "comment", "thinking"]


async def play(world: World, *scenes: Scene, limits: Limits | None = None) -> tuple[Ended, int]:
    """One run. Returns how often the source was asked, too."""
    source = ScriptedSource(*scenes)
    return await one_run.play(world, source, limits), len(source.prompts)


def alive(kind: Kind, *, times: int, every: float) -> Scene:
    return [step for _ in range(times) for step in (Wait(every), Show(Alive(kind)))]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("kind", ["comment", "chunk"])
@in_world
async def test_a_model_may_think_for_ten_minutes_while_it_shows_life(
    world: World, kind: Kind
) -> None:
    scene: Scene = [*alive(kind, times=6, every=100), Say("A"), Done()]
    ended, asked = await play(world, scene)
    assert (ended.text, asked) == ("A", 1)
    assert ended.metadata["timing"]["firstTokenMs"] == 600_000


@in_world
async def test_a_model_that_thinks_in_silence_has_the_longer_limit(world: World) -> None:
    ended, asked = await play(world, [Show(Alive("thinking")), Wait(800), Say("A"), Done()])
    assert (ended.text, asked) == ("A", 1)


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_model_that_only_shows_life_is_not_asked_twice(world: World) -> None:
    begin = now()
    ended, asked = await play(world, alive("comment", times=2000, every=10))
    assert 900_000 <= now() - begin < 901_000
    assert (ended.status, asked) == (Status.FAILED, 1)
    assert "took too long to think" in ended.metadata["error"]


@pytest.mark.promise("honest-failure")
@in_world
async def test_the_same_time_limit_is_not_bought_a_third_time(world: World) -> None:
    ended, asked = await play(world, [Wait()])
    assert (ended.status, asked) == (Status.FAILED, 2)
    assert "did not begin to answer in time" in ended.metadata["error"]


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_model_that_stops_at_the_same_word_is_not_asked_again(world: World) -> None:
    ended, asked = await play(world, [Say("A word"), Wait()])
    assert (ended.status, ended.text, asked) == (Status.FAILED, "A word", 2)


@pytest.mark.parametrize(("kind", "text", "times"), [("chunk", "AB", 1), ("comment", "C", 2)])
@in_world
async def test_between_tokens_chunks_are_life_and_comments_are_not(
    world: World, kind: Kind, text: str, times: int
) -> None:
    scene: Scene = [Say("A"), *alive(kind, times=10, every=50), Say("B"), Done()]
    ended, asked = await play(world, scene, [Say("C"), Done()])
    assert (ended.text, asked) == (text, times)
    reasons = [notice["reason"] for notice in ended.notices]
    assert reasons == ["The model stopped answering."] * (times - 1)


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_a_thought_that_is_known_late_is_not_text(world: World) -> None:
    scene: Scene = [Say("Let me ", "see. "), Show(LateThought()), Say("A cat."), Done()]
    ended, _ = await play(world, scene)
    assert ended.text == "A cat."
    assert [part.get("text") for part in ended.fold.parts] == [None, "Let me see. ", "A cat."]
    assert ended.kinds.count("reset-step") == 1


@in_world
async def test_a_picture_stands_where_it_comes_and_a_source_cuts_no_text(world: World) -> None:
    scene: Scene = [
        Say("One "),
        Show(PAGE),
        Say("text. "),
        Show(PICTURE),
        Say("Behind it."),
        Done(),
    ]
    ended, _ = await play(world, scene)
    restarted, _ = await play(world, [*scene[:-1], Fail()], scene)
    for each in (ended, restarted):
        assert [(part["type"], part.get("text")) for part in each.fold.parts[1:]] == [
            ("text", "One text. "),
            ("source-url", None),
            ("file", None),
            ("text", "Behind it."),
        ]
    stopped, _ = await play(world, [Show(PICTURE), Wait()], scene)
    assert stopped.notices[0]["reason"] == "The model stopped answering.", "it had begun"
    source, file = ended.fold.parts[2:4]
    assert (source["url"], source["title"]) == (PAGE.url, PAGE.title)
    assert (file["url"], file["mediaType"]) == (PICTURE.url, PICTURE.media_type)
