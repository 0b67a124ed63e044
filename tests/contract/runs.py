"""`RunStore.find_run` and `runs`."""

from __future__ import annotations

import pytest

from durable_llm_streams.errors import ChatNotFound, RunNotFound

from .harness import Talk


class RunsContract:
    """Runs are found through their chat."""

    async def test_a_chats_active_run_is_found(self, talk: Talk) -> None:
        run = (await talk.send()).run
        assert await talk.store.find_run("ann", "c1") == run

    async def test_of_several_that_wait_the_oldest_is_the_active_one(self, talk: Talk) -> None:
        runs = [(await talk.send(f"m{n}", queue=True)).run for n in range(3)]
        for run in runs:
            assert await talk.store.find_run("ann", "c1") == run
            await talk.stop(run.id)

    async def test_a_run_is_found_by_its_id_also_after_its_end(self, talk: Talk) -> None:
        first = await talk.answer("m1")
        second = (await talk.send("m2")).run
        assert await talk.store.find_run("ann", "c1", first.id) == first
        assert await talk.store.find_run("ann", "c1", second.id) == second

    async def test_a_run_of_another_chat_is_not_found(self, talk: Talk) -> None:
        await talk.answer(chat="c1")
        active, ended = await talk.start(chat="c2"), await talk.answer(chat="c3")
        for run_id in (active.run.id, ended.id, "r9999"):
            with pytest.raises(RunNotFound):
                await talk.store.find_run("ann", "c1", run_id)

    async def test_a_chat_at_rest_has_no_active_run(self, talk: Talk) -> None:
        await talk.answer()
        with pytest.raises(RunNotFound):
            await talk.store.find_run("ann", "c1")

    @pytest.mark.promise("owned")
    async def test_a_foreign_chats_runs_are_not_found(self, talk: Talk) -> None:
        run = (await talk.send()).run
        for run_id in (None, run.id):
            with pytest.raises(ChatNotFound):
                await talk.store.find_run("bob", "c1", run_id)
            with pytest.raises(ChatNotFound):
                await talk.store.find_run("ann", "c2", run_id)

    async def test_operators_find_any_chats_runs(self, talk: Talk) -> None:
        run = (await talk.send()).run
        assert await talk.store.find_run(None, "c1") == run
        assert await talk.store.find_run(None, "c1", run.id) == run
        with pytest.raises(ChatNotFound):
            await talk.store.find_run(None, "c2")

    async def test_runs_of_all_chats_are_listed_newest_first(self, talk: Talk) -> None:
        first = await talk.answer(chat="c1")
        second = (await talk.send(chat="c2", owner="bob")).run
        third = (await talk.start(chat="c3")).run
        fourth = await talk.answer(chat="c4")
        assert await talk.store.runs() == [fourth, third, second, first]
        assert await talk.store.runs(limit=2) == [fourth, third]
        assert await talk.store.runs(active=True) == [third, second]
        assert await talk.store.runs(active=True, limit=1) == [third]

    async def test_runs_of_a_deleted_chat_are_gone(self, talk: Talk) -> None:
        await talk.answer(chat="c1")
        await talk.start("m2", chat="c1")
        kept = await talk.answer(chat="c2")
        await talk.store.delete("ann", "c1")
        assert await talk.store.runs() == [kept]
        await talk.crash()
        assert await talk.store.runs() == [kept]
