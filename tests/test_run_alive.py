"""Signs of life, and parts that come whole: what they do to time limits and to the message."""

from __future__ import annotations

from typing import Literal

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.source import Alive, Citation, File, LateThought

from .run_world import World, in_world
from .scripted_source import Do, Done, Fail, Say, Scene, ScriptedSource, Show, Wait
from .virtual_time import elapsed

PICTURE = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")


def alive(kind: Literal["chunk", "comment", "thinking"], times: int, every: float) -> list[Do]:
    return [step for _ in range(times) for step in (Wait(every), Show(Alive(kind)))]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        (alive("comment", 6, 100), 600),
        (alive("chunk", 6, 100), 600),
        ([Show(Alive("thinking")), Wait(800)], 800),
    ],
    ids=["comments", "chunks", "in silence"],
)
@in_world
async def test_a_model_may_think_for_minutes_while_it_shows_life(
    world: World, life: list[Do], seconds: int
) -> None:
    source = ScriptedSource([*life, Say("A"), Done()])
    ended = await world.play(source)
    assert (ended.text, len(source.prompts)) == ("A", 1)
    assert ended.metadata["timing"]["firstTokenMs"] == seconds * 1000


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize(
    ("scene", "times", "seconds", "text", "sentence"),
    [
        (alive("comment", 2000, 10), 1, 900, "", "took too long to think"),
        ([Wait()], 2, 2 * 120, "", "did not begin to answer in time"),
        ([Say("A word"), Wait()], 2, 2 * 60, "A word", "The model stopped answering"),
    ],
    ids=["only shows life", "never begins", "stops at the same word"],
)
@in_world
async def test_a_time_limit_that_is_hit_again_without_progress_ends_the_run(
    world: World, scene: Scene, times: int, seconds: float, text: str, sentence: str
) -> None:
    source = ScriptedSource(scene)
    run = await world.ask(await world.worker(source))
    assert seconds <= await elapsed(world.ended(run)) < seconds + 2
    ended = await world.ended(run)
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, text, times)
    assert sentence in ended.metadata["error"]


@pytest.mark.parametrize(("kind", "text", "times"), [("chunk", "AB", 1), ("comment", "C", 2)])
@in_world
async def test_between_tokens_chunks_are_life_and_comments_are_not(
    world: World, kind: Literal["chunk", "comment"], text: str, times: int
) -> None:
    scene = [Say("A"), *alive(kind, 10, 50), Say("B"), Done()]
    ended = await world.play(ScriptedSource(scene, [Say("C"), Done()]))
    reasons = [notice["reason"] for notice in ended.notices]
    assert (ended.text, reasons) == (text, ["The model stopped answering."] * (times - 1))


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_a_thought_that_is_known_late_is_not_text(world: World) -> None:
    scene: Scene = [Say("Let me ", "see. "), Show(LateThought()), Say("A cat."), Done()]
    ended = await world.play(ScriptedSource(scene))
    assert ended.parts == [("reasoning", "Let me see. "), ("text", "A cat.")]
    assert ended.resets == 1


@in_world
async def test_a_picture_stands_where_it_comes_and_a_source_cuts_no_text(world: World) -> None:
    scene = [Say("One "), Show(PAGE), Say("text. "), Show(PICTURE), Say("Behind it."), Done()]
    ended = await world.play(ScriptedSource(scene))
    restarted = await world.play(ScriptedSource([*scene[:-1], Fail()], scene))
    expected = [("text", "One text. "), ("source-url", ""), ("file", ""), ("text", "Behind it.")]
    assert (ended.parts, restarted.parts) == (expected, expected)
    source, file = ended.fold.parts[2:4]
    assert (source["url"], source["title"]) == (PAGE.url, PAGE.title)
    assert (file["url"], file["mediaType"]) == (PICTURE.url, PICTURE.media_type)
    stopped = await world.play(ScriptedSource([Show(PICTURE), Wait()], scene))
    assert stopped.notices[0]["reason"] == "The model stopped answering.", "it had begun"
