"""`RunStore.find`, and `RunList`."""

from __future__ import annotations

import pytest

from durable_llm_streams.errors import ChatNotFound, RunNotFound

from .harness import Talk, refused


class RunsContract:
    """Runs are found through their chat."""

    async def test_of_several_runs_the_oldest_is_the_active_one(self, talk: Talk) -> None:
        ended = await talk.answer("m0")
        runs = [(await talk.send(f"m{n}", queue=True)).run for n in range(1, 4)]
        for run in (ended, *runs):
            assert await talk.find(run.id) == run
        for run in runs:
            assert await talk.find() == run
            await talk.stop(run.id)
        await refused(RunNotFound, talk.find())

    async def test_a_run_of_another_chat_is_not_found(self, talk: Talk) -> None:
        await talk.answer(chat="c1")
        active, ended = await talk.start(chat="c2"), await talk.answer(chat="c3")
        for run_id in (active.run.id, ended.id, "r9999"):
            await refused(RunNotFound, talk.find(run_id))

    @pytest.mark.promise("owned")
    async def test_only_the_owner_and_operators_find_a_chats_runs(self, talk: Talk) -> None:
        run = (await talk.send()).run
        for run_id in (None, run.id):
            await refused(ChatNotFound, talk.store.runs.find("bob", "c1", run_id))
            await refused(ChatNotFound, talk.find(run_id, "c2"))
            assert await talk.store.operators.any_run(run_id or run.id) == run

    async def test_runs_of_all_chats_are_listed_newest_first(self, talk: Talk) -> None:
        first = await talk.answer(chat="c1")
        second = (await talk.send(chat="c2", owner="bob")).run
        third = (await talk.start(chat="c3", owner="bob")).run
        fourth = await talk.answer(chat="c4")
        assert await talk.store.operators.newest() == [fourth, third, second, first]
        assert await talk.store.operators.newest(limit=2) == [fourth, third]
        assert await talk.store.operators.newest(active=True) == [third, second]
        assert await talk.store.operators.newest(active=True, limit=1) == [third]
