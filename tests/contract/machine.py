"""Random operations on a store and on the model of one: both must always say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from msgspec import structs

from durable_llm_streams.model import Charge, Chat, Claim, Status
from durable_llm_streams.store import (
    Append,
    Bounds,
    ChatPage,
    Ending,
    Link,
    Order,
    Page,
    Retention,
    Sent,
)

from .comparison import Comparison, fold
from .harness import HOUR, LAST, StoreFactory, delete_some

SETTINGS = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

OWNERS = ["ann", "ann", "ann", "bob"]
CHATS = ["c1", "c1", "c1", "c2", "c3"]  # one that much happens in
TITLES = ["Trees", "100%", "under_score", "back\\slash", "ÄPFEL"]
owners = st.sampled_from(OWNERS)
chats = st.sampled_from(CHATS)
#: Which of the things that there are: taken modulo their number.
picks = st.integers(0, 11)
#: Few large ones, so that tails become segments often, and many small ones.
sizes = st.sampled_from([1, 1, 40, 700, 3000])
#: Where a write goes, beside the log's end.
offsets = st.sampled_from([0, 0, 0, 0, 0, 0, -1, -2, 1])
leases = st.sampled_from([0.5, 5.5, 30.5])
per_owner = st.sampled_from([None, None, 0, 1, 2])
bounds = st.just(Bounds()) | st.builds(
    Bounds,
    running=per_owner,
    active=st.sampled_from([None, None, 3, 5]),
    waiting=st.sampled_from([None, None, 0, 2, 4]),
)
#: Small buckets, which are empty soon; one of them is shared.
kinds = st.sampled_from([("messages", "ann", 10.0), ("tokens", "bob", HOUR), ("tokens", "", HOUR)])


def _charges(costs: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Charge, ...]]:
    one = st.builds(lambda kind, cost: Charge(kind[0], kind[1], cost, 7, kind[2]), kinds, costs)
    return st.just(()) | st.lists(one, max_size=2).map(tuple)


charges = _charges(st.sampled_from([0, 1, 2.5, 3, 8]))
settlements = _charges(st.sampled_from([-8, -1, -2.5, 1.5, 20]))


class StoreMachine(Comparison):
    """The operations; a subclass names the backend."""

    # --- sending -------------------------------------------------------------------------------

    @rule(
        chat=chats, message=picks, anchor=st.none() | picks, key=st.none() | picks,
        asked=st.fixed_dictionaries({
            "owner": owners, "place": st.sampled_from(["follow", "follow", "edit", "again"]),
            "content": st.sampled_from(["x", "x", "x", "y"]), "title": st.sampled_from(TITLES),
            "queue": st.booleans(), "shown": st.booleans(),
            "worker": st.sampled_from([None, "w1"]), "lease": leases, "bounds": bounds,
            "charges": charges, "reservation": charges,
        }),
    )  # fmt: skip
    def send(self, chat: str, message: int, anchor: int | None, key: int | None,
             asked: dict[str, Any]) -> None:  # fmt: skip
        asked = {**asked, **self._fresh(), "model": "demo", "chat_id": chat}
        if asked["place"] != "again":
            asked |= {"message_id": f"m{message}", "body": b'{"n":%d}' % self.count}
        at = None if anchor is None else self._message(chat, anchor)
        self._send(Order(**asked, anchor=at, key=None if key is None else f"k{key}"))

    def _fresh(self) -> dict[str, Any]:
        """What is new in every request."""
        self.count += 1
        ids = {"run_id": f"r{self.count:04d}", "answer_id": f"a{self.count}"}
        return {**ids, "now": self.clock()}

    @rule(chat=chats, anchor=st.none() | picks, queue=st.booleans(), shown=st.booleans())
    def ask_again(self, chat: str, anchor: int | None, queue: bool, shown: bool) -> None:
        asked = {"owner": "ann", "place": "again", "worker": "w1", "lease": 5.5}
        self.send(chat, 0, anchor, None, {**asked, "queue": queue, "shown": shown})

    @precondition(lambda self: self.orders)
    @rule(pick=picks)
    def send_again(self, pick: int) -> None:
        """A client's retry: the same order with new ids."""
        order = self.orders[-1 - pick % len(self.orders)]
        self._send(structs.replace(order, **self._fresh()))

    def _send(self, order: Order) -> None:
        found = self.real(self.store.runs.send(order))
        tokens = [found.claim.epoch.token] if isinstance(found, Sent) and found.claim else []
        assert found == self.modelled(lambda: self.model.send(order), tokens)
        self.orders.append(order)
        if isinstance(found, Sent) and found.claim:
            self.claims.append(found.claim)

    def _message(self, chat: str, pick: int) -> str:
        """A message that the chat holds, or one that it may not hold."""
        known = [m.id for c in self.model._chats if c.chat.id == chat for m in c.messages]
        return known[pick % len(known)] if known and pick else "m1"

    # --- claims --------------------------------------------------------------------------------

    @rule(
        worker=st.sampled_from(["w1", "w2"]), limit=st.integers(1, 3), lease=leases, most=per_owner
    )
    def claim(self, worker: str, limit: int, lease: float, most: int | None) -> None:
        found = self.real(self.store.runs.claim(worker, limit, lease, most))
        assert not isinstance(found, type)
        tokens = [claim.epoch.token for claim in found]
        assert list(found) == self.modelled(lambda: self.model.claim(limit, lease, most), tokens)
        self.claims += found

    @precondition(lambda self: self.model.runs())
    @rule(pick=picks, lease=leases)
    def seize(self, pick: int, lease: float) -> None:
        runs = self.model.runs()
        run_id = runs[pick % len(runs)].id
        found = self.real(self.store.runs.claim_run(run_id, "w3", lease))
        tokens = [] if isinstance(found, type) else [found.epoch.token]
        assert found == self.modelled(lambda: self.model.seize(run_id, lease), tokens)
        if not isinstance(found, type):
            self.claims.append(found)

    def _some(self, among: Sequence[int]) -> list[Claim]:
        """Some of the claims there ever were, the last ones with the smallest numbers."""
        return [self.claims[-1 - pick % len(self.claims)] for pick in among]

    @precondition(lambda self: self.claims)
    @rule(among=st.lists(picks, max_size=3, unique=True), lease=leases)
    def renew(self, among: list[int], lease: float) -> None:
        claims = self._some(among)
        self.same(self.store.runs.renew(claims, lease), lambda: self.model.renew(claims, lease))

    @precondition(lambda self: self.claims)
    @rule(pick=picks, times=st.integers(0, 4))
    def reserve(self, pick: int, times: int) -> None:
        (claim,) = self._some([pick])
        self.same(self.store.runs.reserve(claim, times), lambda: self.model.reserve(claim, times))

    @precondition(lambda self: self.claims)
    @rule(among=st.lists(picks, max_size=2, unique=True))
    def release(self, among: list[int]) -> None:
        claims = self._some(among)
        self.same(self.store.runs.release(claims), lambda: self.model.release(claims))

    # --- writing -------------------------------------------------------------------------------

    @precondition(lambda self: self.claims)
    @rule(
        items=st.lists(
            st.tuples(picks, offsets, st.sampled_from([0, 1, 1, 1, 2, 5]), sizes),
            min_size=1,
            max_size=3,
        )
    )
    def append(self, items: list[tuple[int, int, int, int]]) -> None:
        self._append([self._item(*item) for item in items])

    @precondition(lambda self: self.claims)
    @rule(counts=st.lists(st.integers(1, 9), min_size=1, max_size=4), size=sizes)
    def write_on(self, counts: list[int], size: int) -> None:
        """What a healthy worker does."""
        for count in counts:
            self._append([self._item(0, 0, count, size)])

    @precondition(lambda self: self.batches)
    @rule(pick=picks, fewer=st.integers(0, 2), as_newest=st.booleans())
    def append_again(self, pick: int, fewer: int, as_newest: bool) -> None:
        """Repeat a batch, perhaps only the end of its records, perhaps under the newest claim."""
        newest = {claim.run.id: claim.epoch for claim in self.claims}
        self._append(
            [
                structs.replace(
                    item,
                    epoch=newest[item.run_id] if as_newest else item.epoch,
                    at=item.at + fewer,
                    records=item.records[fewer:],
                )
                for item in self.batches[-1 - pick % len(self.batches)]
            ]
        )

    def _item(self, pick: int, offset: int, count: int, size: int) -> Append:
        (claim,) = self._some([pick])
        new = []
        for _ in range(count):
            self.count += 1
            new.append(b'{"n":%d,"_":"%s"}' % (self.count, b"-" * size))
        return Append(claim.run.id, claim.epoch, max(1, self._log_end(claim) + offset), new)

    def _append(self, batch: list[Append]) -> None:
        self.same(self.store.log.append(batch), lambda: self.model.append(batch))
        self.batches.append(batch)

    def _log_end(self, claim: Claim) -> int:
        page = self.modelled(lambda: self.model.read(claim.run.id, 0))
        return page.next_seq if isinstance(page, Page) else claim.next_seq

    @precondition(lambda self: self.claims)
    @rule(
        pick=picks,
        offset=offsets,
        status=st.sampled_from(["finished", "failed"]),
        settled=settlements,
    )
    def end(self, pick: int, offset: int, status: str, settled: tuple[Charge, ...]) -> None:
        (claim,) = self._some([pick])
        self._end(claim.run.id, claim, offset, Status(status), settled)

    @precondition(lambda self: self.endings)
    @rule(pick=picks)
    def end_again(self, pick: int) -> None:
        ending = self.endings[-1 - pick % len(self.endings)]
        self.same(self.store.log.end(ending), lambda: self.model.end(ending))

    def _end(
        self,
        run_id: str,
        claim: Claim,
        offset: int,
        status: Status,
        settled: tuple[Charge, ...] = (),
    ) -> None:
        page = self.modelled(lambda: self.model.read(run_id, 0))
        log = list(page.records) if isinstance(page, Page) else []
        at = max(1, len(log) + 1 + offset)
        body = fold([*log, LAST])
        ending = Ending(run_id, claim.epoch, at, [LAST], status, body, self.clock(), settled)
        found = self.real(self.store.log.end(ending))
        assert found == self.modelled(lambda: self.model.end(ending))
        if not isinstance(found, type):
            self.endings.append(ending)

    # --- reading -------------------------------------------------------------------------------

    @precondition(lambda self: self.model.runs())
    @rule(pick=picks, after=st.integers(0, 60), max_bytes=st.sampled_from([1, 100, 5000, 10**6]))
    def read(self, pick: int, after: int, max_bytes: int) -> None:
        runs = self.model.runs()
        run_id = runs[pick % len(runs)].id
        found = self.real(self.store.log.read(run_id, after, max_bytes=max_bytes))
        expected = self.modelled(lambda: self.model.read(run_id, after))
        if isinstance(found, type) or isinstance(expected, type):
            assert found == expected
            return
        assert found.records or not expected.records
        assert list(found.records) == expected.records[: len(found.records)]
        assert sum(map(len, found.records)) <= max_bytes or len(found.records) == 1
        assert structs.replace(found, records=()) == structs.replace(expected, records=())

    @rule(chat=chats, owner=owners, pick=picks)
    def look_at_a_branch(self, chat: str, owner: str, pick: int) -> None:
        leaf = self._message(chat, pick)
        self.same(
            self.store.chats.snapshot(owner, chat, leaf),
            lambda: self.model.snapshot(owner, chat, leaf),
        )

    # --- chats and time ------------------------------------------------------------------------

    @rule(chat=chats, owner=owners, title=st.sampled_from(TITLES))
    def rename(self, chat: str, owner: str, title: str) -> None:
        self.same(
            self.store.chats.rename(owner, chat, title),
            lambda: self.model.rename(owner, chat, title),
        )

    @rule(chat=chats, owner=owners, really=st.integers(0, 3))
    def delete(self, chat: str, owner: str, really: int) -> None:
        if not really:  # not too often
            self.same(self.store.chats.delete(owner, chat), lambda: self.model.delete(owner, chat))

    @rule(query=st.sampled_from(["", "e", "%", "_", "\\", "äpfel", "0%"]), limit=st.integers(1, 3))
    def list_chats(self, query: str, limit: int) -> None:
        found: list[Chat] = []
        more = None
        while True:
            page: ChatPage = self.wait(
                self.store.chats.page("ann", query=query, limit=limit, more=more)
            )
            found += page.chats
            more = page.more
            if more is None:
                break
            assert len(page.chats) == limit
            assert len(found) < 100, "the pages have no end"
        updates = [chat.updated_at for chat in found]
        assert updates == sorted(updates, reverse=True)
        expected = self.model.chats("ann", query)
        assert sorted(found, key=lambda c: c.id) == sorted(expected, key=lambda c: c.id)

    @rule(owner=owners, time=picks)
    def sign_out(self, owner: str, time: int) -> None:
        self.same(
            self.store.visitors.sign_out(owner, time, forget=0),
            lambda: self.model.visitors.sign_out(owner, time),
        )

    @rule(owner=owners, digest=picks)
    def keep_link(self, owner: str, digest: int) -> None:
        self.count += 1
        name, link = f"{owner}{digest}", Link(owner, self.count)
        self.same(
            self.store.visitors.keep_link(name, link, seconds=600),
            lambda: self.model.visitors.keep_link(name, link),
        )

    @rule(owner=owners, digest=picks)
    def take_link(self, owner: str, digest: int) -> None:
        name = f"{owner}{digest}"
        self.same(self.store.visitors.take_link(name), lambda: self.model.visitors.take_link(name))

    @rule(log_age=st.sampled_from([15.25, 100.25]), chat_age=st.sampled_from([0, 50.25, 200.25]))
    def expire(self, log_age: float, chat_age: float) -> None:
        now = self.clock()
        while self.wait(delete_some(self.store, Retention(log=log_age, chat=chat_age))):
            pass
        self.model.expire(now=now, log_age=log_age, chat_age=chat_age)

    @rule(seconds=st.sampled_from([0, 1, 6, 11, 40]))
    def advance(self, seconds: int) -> None:
        """Time passes where a server runs: the store looks at its clock."""
        self.clock.advance(seconds)
        look = delete_some(self.store, Retention(log=1e9, chat=0))
        assert self.wait(look) == 0

    @rule(kindly=st.booleans())
    def reopen(self, kindly: bool) -> None:
        self.store = self.wait(self.stores.reopen() if kindly else self.stores.crash())
        self.reopened = True
        if self.stores.leases_die_with_the_process:
            self.model.lose_leases()


def compare_with_model(factory: Callable[[], StoreFactory], profile: settings = SETTINGS) -> None:
    """Run the machine on a backend."""
    machine = type("Machine", (StoreMachine,), {"factory": staticmethod(factory)})
    run_state_machine_as_test(machine, settings=profile)
