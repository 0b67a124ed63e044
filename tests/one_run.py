"""One run of a source, from the question to its end."""

from __future__ import annotations

from durable_llm_streams.runs import Limits

from .run_world import Ended, World
from .scripted_jobs import KeptSource
from .scripted_source import ScriptedSource


async def play(
    world: World, source: ScriptedSource | KeptSource, limits: Limits | None = None
) -> Ended:
    """Ask a source, and wait for the end of the answer."""
    ended = await world.ended(await world.ask(await world.worker(source, limits)))
    assert source.open == 0, f"{source.open} streams of the source are open behind the end"
    return ended


def rungs(ended: Ended) -> list[str]:
    """How the model was asked, attempt by attempt."""
    return [asked["rung"] for asked in ended.fold.ladder]
