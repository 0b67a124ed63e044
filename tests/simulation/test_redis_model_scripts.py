"""The product's scripts do in the model what they do in a real server.

Once with random arguments, and once with those that the store gives them in random histories.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_llm_streams.stores.redis import scripts as product
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.redis.doctor.permissions import PERMISSIONS
from tests.contract import compare_with_model
from tests.contract.machine import SETTINGS

from .redis_model.comparison import Both, RealRedis, Twins
from .test_redis_model import RANDOM, real, server
from .test_redis_model_contract import ModelStores

__all__ = ["real", "server"]

pytestmark = pytest.mark.xdist_group("redis")

ROOT = "{p:0}"
#: For ids that the product draws anew each time. Otherwise a message could be its own ancestor, and
#: a script would look for the first one for ever.
NEW_RUN, NEW_ANSWER = "new run", "new answer"
DAY = 24 * 3600 * 1000
owners = st.sampled_from(["ann", "bob"])
chats = st.sampled_from(["c1", "c1", "c1", "c2", "c9"])
runs = st.sampled_from(["r1", "r2", "r3", "r4"])
new_messages = st.sampled_from(["m1", "m2", "m3", ""])
messages = st.sampled_from(["m1", "m2", "m3", "a1", "a2", "p2", ""])
tokens = st.sampled_from(["aa", "bb"])
writers = st.sampled_from(["1.aa", "1.aa", "1.bb", "2.aa", "2.bb", "3.aa", ""])
clocks = st.sampled_from([str(1_700_000_000_000 + 1000 * seconds) for seconds in range(5)])
leases = st.sampled_from(["0", "1500", "60000"])
ats = st.sampled_from(["1", "1", "2", "3", "4", "6"])
lives = st.sampled_from([str(DAY), str(400 * DAY)])
lives_or_ever = st.sampled_from(["0", str(DAY)])
flags = st.sampled_from(["0", "1"])
bodies = st.sampled_from(['{"a":"b/c"}', "x" * 100, ""])
statuses = st.sampled_from(["finished", "failed", "stopped"])
texts = st.sampled_from(["Title", "Äpfel", 'q"/\\\n\x01'])
records = st.lists(st.sampled_from(["one", "two", "\r\n", "x" * 2000]), max_size=4)
none: st.SearchStrategy[list[str]] = st.just([])

Args = st.SearchStrategy[list[str]]


def args(*first: st.SearchStrategy[str], rest: Args = none) -> Args:
    return st.tuples(st.tuples(*first), rest).map(lambda parts: [*parts[0], *parts[1]])


def each(*several: st.SearchStrategy[str], most: int = 3) -> Args:
    return st.lists(st.tuples(*several), max_size=most).map(
        lambda found: [word for words in found for word in words]
    )


def fixed(*words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words)


FIELDS = args(
    fixed("1", "2", "4"),
    fixed("24"),
    *map(st.just, ("chat", "c9", "prompt", "m1", "answer", "a1")),
    *map(st.just, ("model", "demo", "created", "5", "key", "k", "content", "x", "status")),
    fixed("queued", "finished"),
    *map(st.just, ("epoch", "1", "token", "aa", "takeovers", "0")),
    st.just("spans"),
    st.just("1:1:aa"),
    rest=records,
)
ARGUMENTS: dict[Script, Args] = {
    product.CHANGES: args(owners, clocks),
    product.CHATS: args(
        owners, fixed("+inf", "1700000001000"), fixed("", "c1", "c2"), fixed("1", "3")
    ),
    product.CHECK: none,
    product.CLAIM: st.tuples(
        fixed("w1", "w2"),
        st.integers(1, 3),
        leases,
        clocks,
        st.lists(tokens, max_size=2),
        st.lists(tokens, min_size=3, max_size=3),
    ).map(lambda a: [a[0], str(a[1]), a[2], a[3], str(len(a[4])), *a[4], *a[5][: a[1]]]),
    product.DELETE: args(owners, chats),
    product.END: args(
        runs,
        writers,
        ats,
        statuses,
        bodies,
        clocks,
        tokens,
        lives,
        lives,
        lives_or_ever,
        rest=records,
    ),
    product.EXPIRE: args(clocks, fixed("", "1700000002000"), clocks),
    product.FIND_PARTITION: args(runs),
    product.FIND_RUN: args(flags, owners, chats, fixed("", "r1", "r2")),
    product.FOLLOW: args(runs),
    product.META: each(fixed("version", "life"), texts),
    product.PORTABLE_BODIES: args(chats, fixed("0", "1"), fixed("10", "100000")),
    product.PORTABLE_CHATS: args(fixed("0", "1"), fixed("1", "10")),
    product.PORTABLE_MARK: args(fixed("", "mark")),
    product.PORTABLE_OUTLINE: args(fixed("c1", "c9")),
    product.PORTABLE_PUT_CHAT: args(
        *map(st.just, ("token", "c9", "ann", "Title", "5", "6")),
        fixed("", "p2"),
        fixed("0", "1", "2"),
        lives_or_ever,
        rest=each(runs, fixed("0", "1", "2"), lives_or_ever, lives_or_ever, most=2),
    ),
    product.PORTABLE_PUT_MESSAGES: args(
        st.just("token"),
        st.just("c9"),
        fixed("0", "1"),
        rest=st.sampled_from(
            [
                ["p1", "user||5|", "{}", "p2", "assistant|p1|5|r1", ""],
                ["p1", "user||5|", "{}"],
                ["p2", "assistant|p1|5|r1", "{}"],
            ]
        ),
    ),
    product.PORTABLE_PUT_RUN: args(st.just("token"), runs, rest=FIELDS),
    product.PORTABLE_SECRET: args(texts),
    product.PORTABLE_SERVED: none,
    product.READ: args(runs, fixed("0", "1", "9"), fixed("1", "100", "100000")),
    product.RELEASE: each(runs, writers),
    product.RENAME: args(owners, chats, texts),
    product.RENEW: args(leases, clocks, rest=each(runs, writers)),
    product.RUNS: args(fixed("running", "runs"), fixed("1", "9")),
    product.SEIZE: args(runs, fixed("w1", "w3"), leases, clocks, tokens),
    product.SEND: args(
        owners,
        chats,
        fixed("follow", "follow", "edit", "again"),
        messages,
        new_messages,
        bodies,
        st.just(NEW_RUN),
        st.just(NEW_ANSWER),
        st.just("demo"),
        fixed("", "k1", "k2"),
        fixed("x", "y"),
        texts,
        flags,
        flags,
        fixed("", "w1"),
        leases,
        clocks,
        clocks,
        tokens,
        lives_or_ever,
    ),
    product.SNAPSHOT: args(owners, chats, messages),
    product.THREAD: args(runs),
    PERMISSIONS: none,
}


class Call(NamedTuple):
    script: Script
    keys: list[str]
    args: list[str]


@st.composite
def appended(draw: st.DrawFn) -> Call:
    keys, words = [ROOT], []
    for run in draw(st.lists(runs, min_size=1, max_size=3)):
        new = draw(records)
        keys += [f"{ROOT}:run:{run}", f"{ROOT}:log:{run}"]
        words += [draw(writers), draw(ats), str(len(new)), *new]
    return Call(product.APPEND, keys, words)


OFTEN = (product.SEND, product.SEND, product.CLAIM, product.END)
CALLS = st.one_of(
    appended(),
    appended(),
    *(
        args.map(lambda words, script=script: Call(script, [ROOT], words))  # type: ignore[misc]
        for script, args in [*ARGUMENTS.items(), *((often, ARGUMENTS[often]) for often in OFTEN)]
    ),
)


def test_every_script_of_the_product_is_compared() -> None:
    every = {each for each in vars(product).values() if isinstance(each, Script)}
    assert every == set(ARGUMENTS) - {PERMISSIONS} | {product.APPEND}


@settings(RANDOM, max_examples=300)
@given(calls=st.lists(CALLS, min_size=10, max_size=60))
def test_the_products_scripts_do_what_they_do_in_a_real_server(
    real: RealRedis, calls: list[Call]
) -> None:
    both = Both(real)
    for number, call in enumerate(calls, 1):
        new = {NEW_RUN: f"r{number}", NEW_ANSWER: f"a{number}"}
        both.run(call.script, call.keys, [new.get(word, word) for word in call.args])
    both.compare_everything()


class TwinStores(ModelStores):
    """Stores on a model beside a real server; their clock is given to both."""

    def __init__(self, real: RealRedis) -> None:
        super().__init__()
        self.use(Twins(self.clock, real), now=self.clock)


def test_random_histories_of_the_store_are_the_same_on_a_real_server(real: RealRedis) -> None:
    compare_with_model(lambda: TwinStores(real), settings(SETTINGS, max_examples=50))
