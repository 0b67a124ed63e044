"""What is promised, and where users read it.

A test that tries to break a promise carries its id, `@pytest.mark.promise("fencing")`, and
`pytest --promise fencing` runs all of them. `tests/test_promises.py` fails if a promise has no
test, a test names an unknown promise, or a promise has no section in `docs/guarantees.md`, which
says how it is kept and what it does not cover.
"""

from __future__ import annotations

from dataclasses import dataclass

_README = "README.md#what-it-promises"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise.

    Attributes:
        id: What tests and `--promise` call it.
        title: Its name in the documentation; the README's list uses the same.
        sentence: What is promised.
        promised: The places in the documentation that promise it, `PAGE#HEADING`.
    """

    id: str
    title: str
    sentence: str
    promised: tuple[str, ...]


_ALL = (
    Promise(
        "prefix",
        "Prefix",
        "What a reader has received is at every moment a prefix of the log: no gap, no repeat, no"
        " reordering, whatever was cut when.",
        (_README, "docs/http.md#the-stream"),
    ),
    Promise(
        "fencing",
        "Fencing",
        "Once another worker has claimed a run, nothing of the old one is ever appended, even by "
        "a process that was frozen and goes on.",
        (_README, "docs/continuing.md#when-a-worker-dies"),
    ),
    Promise(
        "one-end",
        "One end",
        "Every answer ends with exactly one `finish`, `error` or `abort`, written together with "
        "its status and the message in the history; nothing follows it.",
        (_README, "docs/http.md#the-stream"),
    ),
    Promise(
        "stop",
        "Stop is a fact",
        "When `stop` returns, no chunk can follow; what was said is kept. From any process, any "
        "tab, after a reload.",
        (_README, "docs/http.md#the-stream"),
    ),
    Promise(
        "idempotent-send",
        "Idempotent send",
        "The same message sent again makes no second answer; the second caller follows the first "
        "one's stream.",
        (_README, "docs/http.md#sending"),
    ),
    Promise(
        "history-is-fold",
        "History is the fold",
        "The stored message equals what the AI SDK makes of the stream.",
        (_README, "docs/http.md#a-page-that-is-loaded"),
    ),
    Promise(
        "seen-is-durable",
        "Seen is durable",
        "A chunk reaches a reader only after it is committed.",
        (_README, "docs/storage.md#sqlite", "docs/redis.md#what-can-be-lost"),
    ),
    Promise(
        "lost-tail-is-told",
        "A lost tail is reported",
        "A reader whose cursor the store has lost gets an error; it is never left waiting or given "
        "other text under the same cursor.",
        ("docs/http.md#the-stream", "docs/redis.md#what-can-be-lost"),
    ),
    Promise(
        "bounded",
        "Bounded",
        "Memory per reader is bounded and a slow reader holds nobody back; every record and every"
        " key of an ended answer has its retention.",
        ("docs/storage.md#how-long-things-are-kept", "docs/redis.md#the-layout-of-the-keys"),
    ),
    Promise(
        "owned",
        "Owned",
        "Nobody reads, resumes, stops or lists what is not theirs; an id is no credential.",
        (_README, "docs/http.md#who-asks"),
    ),
    Promise(
        "takeover",
        "Takeover",
        "An answer whose worker dies or freezes is finished by another one.",
        ("README.md#more-than-one-machine", "docs/continuing.md#when-a-worker-dies"),
    ),
    Promise(
        "one-clean-answer",
        "One clean answer",
        "Two attempts are never shown together: whatever way an answer goes on, its reader sees "
        "one.",
        ("docs/continuing.md#after-the-first-token",),
    ),
    Promise(
        "honest-failure",
        "Honest failure",
        "Every accepted message ends in an answer, a stop, or a reported failure, within its "
        "attempts and its time.",
        ("docs/continuing.md#after-the-first-token", "docs/continuing.md#time-limits"),
    ),
    Promise(
        "hand-over",
        "Hand-over",
        "A server that ends by plan finishes what it can within its grace and commits what was "
        "said. Others get the rest at once, not after a lease. Its streams end cleanly, and it "
        "counts as no failure.",
        ("docs/deployment.md#ends-and-updates", "docs/continuing.md#when-a-worker-dies"),
    ),
    Promise(
        "outage",
        "Outage",
        "A store that does not answer for a while costs nothing but time.",
        (
            "docs/deployment.md#when-redis-is-away",
            "docs/continuing.md#when-the-store-does-not-answer",
        ),
    ),
    Promise(
        "no-leak",
        "Nothing left behind",
        "No lease, task, connection, file or key is left behind by what has ended.",
        ("docs/redis.md#the-layout-of-the-keys", "docs/storage.md#sqlite"),
    ),
    Promise(
        "no-secrets",
        "No secrets",
        "What a provider writes into its errors reaches no reader; keys and passwords reach "
        "neither readers nor logs.",
        ("docs/http.md#errors", "docs/deployment.md#redis-itself"),
    ),
    Promise(
        "tool-once",
        "Tools once",
        "The result of a tool call is in the log once and never computed again.",
        ("docs/guarantees.md#tools-once",),
    ),
    Promise(
        "fair",
        "Fair",
        "However many messages one owner sends, another's next answer begins within a turn: the "
        "owner with the fewest running answers is next. What is too much is refused, not kept.",
        ("docs/guarantees.md#fair", "docs/settings.md#who-is-next"),
    ),
    Promise(
        "bounded-cost",
        "Bounded cost",
        "No more messages, tokens or dollars pass than a limit allows. Kills, takeovers and "
        "further attempts overspend a budget by at most one reservation.",
        ("docs/settings.md#limits-and-budgets",),
    ),
    Promise(
        "compatible",
        "Compatible",
        "An unmodified AI SDK client sends, reads, resumes, edits and stops.",
        ("README.md#use-it-from-your-code", "docs/http.md#the-stream"),
    ),
    Promise(
        "foreign-bytes",
        "Foreign bytes",
        "Whatever bytes come from outside, from a client or a provider: a clear error or what "
        "they mean; never a crash, never a trace.",
        ("docs/http.md#errors",),
    ),
    Promise(
        "feed",
        "The live feed",
        "A visitor's feed brings every change to their chats, those of a chat in order, or says "
        "that something was missed.",
        ("docs/http.md#the-live-feed",),
    ),
    Promise(
        "versions",
        "Nothing is overwritten",
        "An edit or another answer stands beside the old one; every version stays reachable.",
        ("docs/http.md#sending", "docs/http.md#a-page-that-is-loaded"),
    ),
    Promise(
        "migration",
        "Migration",
        "A migration copies each chat whole or not at all, can be started again after any end, "
        "and finds every difference.",
        ("docs/migrating.md#when-it-is-interrupted", "docs/migrating.md#how-it-is-verified"),
    ),
    Promise(
        "erased",
        "Erased",
        "What is deleted, by its owner or by retention, is gone from everything that the store "
        "has written, within five seconds on an idle server.",
        ("docs/storage.md#what-deleting-erases", "docs/redis.md#what-deleting-erases"),
    ),
    Promise(
        "fit-store",
        "A fit store",
        "A store that cannot keep these promises is refused at the start, or warned of, in a "
        "sentence that says what to change.",
        ("docs/redis.md#what-is-checked", "docs/storage.md#sqlite"),
    ),
    Promise(
        "outbox",
        "What one writes is kept",
        "What a person has written in the page is kept there until the server has taken it, and "
        "is sent once.",
        ("docs/chat.md#what-the-browser-keeps",),
    ),
    Promise(
        "harmless-text",
        "Harmless text",
        "What a model or a person writes is text: nothing in it runs, loads or takes the place of"
        " the page.",
        ("docs/chat.md#safety",),
    ),
)

#: All promises by their ids, in the order of the documentation.
PROMISES = {promise.id: promise for promise in _ALL}


def check_names(names: tuple[object, ...], where: str) -> None:
    """Raise a `ValueError` unless these are ids of promises, and at least one.

    Args:
        names: What a mark holds.
        where: The test that has the mark, for the error's sentence.
    """
    unknown = [repr(name) for name in names if name not in PROMISES]
    if unknown or not names:
        named = f"names an unknown promise, {', '.join(unknown)}" if unknown else "names no promise"
        raise ValueError(f"{where} {named}. There are: {', '.join(PROMISES)}.")
