"""Connections that are cut anywhere: what is read after each cut joins to the uncut stream."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import aiohttp
import pytest

from tests.app import App, Frame, Guest, Reading, running_app, story, text_of
from tests.waiting import until

STREAM = "/api/chat/c1/stream"
CUTS = 200
PIECES = [f'{number} "\u2028\n😀\\ ' for number in range(3000)]


async def _cut_after(response: aiohttp.ClientResponse, size: int) -> Reading:
    """Read about so many bytes, to the byte, then cut the connection."""
    raw = b""
    with contextlib.suppress(TimeoutError):
        while len(raw) < size:
            async with asyncio.timeout(0.01):  # nothing more comes: cut it here
                part = await response.content.read(size - len(raw))
            if not part:
                break
            raw += part
    response.close()
    # Bytes may end within a character; what has no empty line behind it was not received.
    raw = raw[: raw.rfind(b"\n\n") + 2]
    return Reading(response.status, response.headers, raw)


async def _read_with_cuts(app: App, guest: Guest, cuts: int, rng: random.Random) -> list[Frame]:
    frames: list[Frame] = []
    reading = await _cut_after(await guest.start(message_id="m1"), rng.randrange(1, 600))
    frames += reading.frames
    fruitful = 0
    for _ in range(cuts):
        app.script.allow(rng.randrange(8))
        cursor = frames[-1].id if frames else ""
        header = {"Last-Event-ID": cursor} if cursor else {}
        response = await guest.open("GET", STREAM, headers=header)
        # The stream's head, then perhaps some of what is there: the script holds the rest back.
        reading = await _cut_after(response, rng.choice([10, 33, 150, 600, 2000, 5000]))
        frames += reading.frames
        fruitful += bool(reading.frames)
    assert fruitful > cuts // 4
    assert frames[-1].data != "[DONE]"
    return frames


@pytest.mark.promise("prefix")
async def test_two_hundred_cuts_lose_repeat_and_change_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.pieces = PIECES
        app.script.hold()
        app.script.allow(20)
        frames = await _read_with_cuts(app, guest, CUTS, rng)
        app.script.free()
        cursor = frames[-1].id
        frames += (await guest.get(STREAM, headers={"Last-Event-ID": cursor})).frames
        uncut = await guest.send(message_id="m1")
        assert frames[-1].data == "[DONE]"
        ids = [frame.id for frame in frames[:-1]]
        assert ids == sorted(set(ids))
        assert story(frames[:-1]) == story(uncut.records)
        assert len(app.script.prompts) == 1
        await until(lambda: len(app.shared.streams) == 0)


@pytest.mark.promise("prefix")
async def test_resuming_at_every_event_joins_to_the_whole(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.pieces = PIECES[:60]
        app.script.hold()
        async with await guest.start(message_id="m1") as live:
            app.script.free()
            whole = Reading(live.status, live.headers, await live.read())
        for index, frame in enumerate(whole.records[:-1], 1):
            rest = await guest.get(STREAM, headers={"Last-Event-ID": frame.id})
            joined = [*whole.records[:index], *rest.records]
            assert story(joined) == story(whole.records)
            assert rest.done


@pytest.mark.promise("prefix", "history-is-fold")
async def test_a_snapshot_and_what_follows_its_cursor_are_the_whole_message(
    tmp_path: Path,
) -> None:
    rng = random.Random(11)
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.pieces = PIECES[:400]
        app.script.hold()
        async with await guest.start(message_id="m1"):
            moments: list[tuple[str, str, asyncio.Task[Reading]]] = []
            for _ in range(40):
                app.script.allow(rng.randrange(10))
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
                chat = await guest.chat()
                cursor = chat["active_run"]["cursor"]
                answer = chat["messages"][-1]
                shown = text_of(answer) if answer["role"] == "assistant" else ""
                rest = asyncio.create_task(guest.get(f"{STREAM}?after={cursor}"))
                moments.append((cursor, shown, rest))
            app.script.free()
            readings = await asyncio.gather(*(rest for _, _, rest in moments))
        text = "".join(PIECES[:400])
        assert await guest.said() == [("user", "Hi"), ("assistant", text)]
        for (cursor, shown, _), reading in zip(moments, readings, strict=True):
            assert shown + reading.text == text
            assert all(found > cursor for found in reading.ids)
            assert reading.done
