"""What is promised: each promise with its id, where users read it, and how it is kept.

A test that tries to break a promise names it, `@pytest.mark.promise("fencing")`, and
`pytest --promise fencing` runs all that do. `tests/test_promises.py` fails if a promise has no such
test or a test names no promise; `docs/guarantees.md` is written from this list.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Where a promise is read: a page of the repository and a heading of it.
_README = "README.md#what-it-promises"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise.

    Attributes:
        id: What tests and `--promise` call it.
        title: Its name in the documentation; the README's list uses the same.
        sentence: What is promised, in one sentence.
        promised: The places in the documentation that promise it, `PAGE#HEADING`.
        kept: How it is kept, in a sentence or two, with the module that does it.
        missing: What it cannot mean yet. Such a promise may be without a test.
    """

    id: str
    title: str
    sentence: str
    promised: tuple[str, ...]
    kept: str
    missing: str = ""


_ALL = (
    Promise(
        "prefix",
        "Prefix",
        "What a reader has received is at every moment a prefix of the log: no gap, no repeat, no"
        " reordering, whatever was cut when.",
        (_README, "docs/http.md#the-stream"),
        "Readers pull pages by cursor from one ordered log (`log/`). An append names the record"
        " that it expects to write, so repeating a call of which nobody knows adds nothing"
        " (`store/`).",
    ),
    Promise(
        "fencing",
        "Fencing",
        "Once another worker has claimed a run, nothing of the old one is ever appended, even by a"
        " process that was frozen and wakes up.",
        (_README, "docs/continuing.md#when-a-worker-dies"),
        "Every write carries the claim's number and its random token; the store compares both for"
        " equality in the same step that appends (SQLite's transaction, Redis's script).",
    ),
    Promise(
        "one-end",
        "One end",
        "Every answer ends with exactly one `finish`, `error` or `abort`, written together with its"
        " status and the message in the history; nothing follows it.",
        (_README, "docs/http.md#the-stream"),
        "`LogStore.end` is one atomic step, which says the same when it is repeated; an ended run"
        " takes no append.",
    ),
    Promise(
        "stop",
        "Stop is a fact",
        "When `stop` returns, no chunk can follow; what was said is kept. From any process, any"
        " tab, after a reload.",
        (_README, "docs/http.md#the-stream"),
        "A stop claims the run and ends it in one step, so the old worker is fenced whether or not"
        " it hears of it (`runs/stopping.py`).",
    ),
    Promise(
        "idempotent-send",
        "Idempotent send",
        "The same message sent again makes no second answer; the second caller follows the first"
        " one's stream.",
        (_README, "docs/http.md#sending"),
        "The message's id, or the `Idempotency-Key`, is a key of the chat in the store and is kept"
        " with its run; accepting a message and finding its repetition are one step.",
    ),
    Promise(
        "history-is-fold",
        "History is the fold",
        "The stored message equals what the AI SDK makes of the stream.",
        (_README, "docs/http.md#a-page-that-is-loaded"),
        "`fold.py` follows the SDK's rules, and what is stored at the end is its result. There is"
        " no second source.",
    ),
    Promise(
        "seen-is-durable",
        "Seen is durable",
        "A chunk reaches a reader only after it is committed.",
        (_README, "docs/storage.md#sqlite", "docs/redis.md#what-can-be-lost"),
        "Readers get what the store has acknowledged, never what a writer still holds"
        " (`log/reader.py`, `stores/bells.py`).",
    ),
    Promise(
        "lost-tail-is-told",
        "A lost tail is told",
        "A reader whose cursor the store has lost is told to start over; it is never left waiting"
        " or given other text under the same cursor.",
        ("docs/http.md#the-stream", "docs/redis.md#what-can-be-lost"),
        "A cursor names the epoch that wrote its record. One that lies beyond the log, or in a part"
        " that another epoch wrote anew, gets 410 (`log/reader.py`).",
    ),
    Promise(
        "bounded",
        "Bounded",
        "Memory per reader is bounded and a slow reader holds nobody back; every record and every"
        " key of an ended answer has its retention.",
        ("docs/storage.md#how-long-things-are-kept", "docs/redis.md#the-layout-of-the-keys"),
        "Readers pull, so nothing is queued for them; writers keep 1,024 records and then wait."
        " What has ended gets a time to live in the step that ends it (`stores/`).",
    ),
    Promise(
        "owned",
        "Owned",
        "Nobody reads, resumes, stops or lists what is not theirs; an id is no credential.",
        (_README, "docs/http.md#who-asks"),
        "Every call of the store that serves a person names the owner, and a foreign chat answers"
        " exactly as one that does not exist (`server/visitors.py`, `store/`).",
    ),
    Promise(
        "takeover",
        "Takeover",
        "An answer whose worker dies or freezes is finished by another one.",
        ("README.md#more-than-one-machine", "docs/continuing.md#when-a-worker-dies"),
        "A lease that is not renewed runs out; any worker then claims the run, folds its log and"
        " goes on (`runs/worker.py`).",
    ),
    Promise(
        "one-clean-answer",
        "One clean answer",
        "Two attempts are never shown together: whatever way an answer goes on, its reader sees"
        " one.",
        ("docs/continuing.md#after-the-first-token",),
        "The next attempt listens again to the provider's own job, or continues from the last word"
        " that is in the log, or writes `reset-step` before its own text; the fold and every client"
        " drop what is void (`runs/ladder.py`, `runs/answer.py`).",
    ),
    Promise(
        "honest-failure",
        "Honest failure",
        "Every accepted message ends in an answer, a stop, or a failure that is told, within its"
        " attempts and its time.",
        ("docs/continuing.md#after-the-first-token", "docs/continuing.md#time-limits"),
        "Attempts are counted in the log, takeovers included, and limits of time end each attempt"
        " and the whole (`runs/limits.py`, `runs/patience.py`).",
    ),
    Promise(
        "hand-over",
        "Hand-over",
        "A server that is told to end finishes what it can within its grace, commits what was said,"
        " gives the rest to others at once, not after a lease, and ends its streams cleanly; it"
        " counts as no failure.",
        ("docs/deployment.md#ends-and-updates", "docs/continuing.md#when-a-worker-dies"),
        "The worker begins nothing more, finishes within `DLS_GRACE`, then stops its sources,"
        " flushes and releases its runs, each step with a bound"
        " (`runs/worker.py`, `cli/serve.py`).",
    ),
    Promise(
        "outage",
        "Outage",
        "A store that does not answer for a while costs nothing but time.",
        (
            "docs/deployment.md#when-redis-is-away",
            "docs/continuing.md#when-the-store-does-not-answer",
        ),
        "Writers keep what the model says and send the same call again, streams wait with comments,"
        " and nobody claims until owners could renew (`log/writer.py`, `runs/patience.py`).",
    ),
    Promise(
        "no-leak",
        "Nothing left behind",
        "No lease, task, connection, file or key is left behind by what has ended.",
        ("docs/redis.md#the-layout-of-the-keys", "docs/storage.md#sqlite"),
        "What is opened is closed by who opened it, and closing waits, with a bound; what a process"
        " could not remove has a time to live.",
    ),
    Promise(
        "no-secrets",
        "No secrets",
        "What a provider writes into its errors reaches no reader; keys and passwords reach neither"
        " readers nor logs.",
        ("docs/http.md#errors", "docs/deployment.md#redis-itself"),
        "A failure becomes one of the sentences that we wrote (`providers/failures/meanings.py`,"
        " `server/problems.py`); addresses and settings print without their secrets.",
    ),
    Promise(
        "tool-once",
        "Tools once",
        "The result of a tool call is in the log once and never computed again.",
        ("docs/guarantees.md#not-yet",),
        "The log of a run keeps every result, and a worker that takes over reads it first.",
        missing="nothing produces tool calls yet; logs are searched for a result that comes twice",
    ),
    Promise(
        "compatible",
        "Compatible",
        "An unmodified AI SDK client sends, reads, resumes, edits and stops.",
        ("README.md#use-it-from-your-code", "docs/http.md#the-stream"),
        "The wire format is the SDK's own, byte for byte, with cursors in the events' `id`, which"
        " it ignores (`wire/`).",
    ),
    Promise(
        "foreign-bytes",
        "Foreign bytes",
        "Whatever bytes come from outside, from a client or a provider: a clear error or what they"
        " mean; never a crash, never a trace.",
        ("docs/http.md#errors",),
        "Each format is read by a pure function with bounds (`wire/`, `providers/`), and"
        " every error has a line in one table (`server/problems.py`).",
    ),
    Promise(
        "feed",
        "The live feed tells",
        "A visitor's feed brings every change to their chats, those of a chat in order, or says"
        " that something was missed.",
        ("docs/http.md#the-live-feed",),
        "The change is written in the step that it tells of, and a position that is not known any"
        " more begins with `complete: false` (`server/feed.py`, `store/`).",
    ),
    Promise(
        "versions",
        "Nothing is overwritten",
        "An edit or another answer stands beside the old one; every version stays reachable.",
        ("docs/http.md#sending", "docs/http.md#a-page-that-is-loaded"),
        "A message has a parent, and sending only adds (`store/`).",
    ),
    Promise(
        "migration",
        "Migration",
        "A migration copies each chat whole or not at all, can be started again after any end, and"
        " finds every difference.",
        ("docs/migrating.md#when-it-is-interrupted", "docs/migrating.md#how-it-is-verified"),
        "A chat appears in one step, when all of it has come; at the end both stores are read from"
        " the beginning (`stores/migration/`).",
    ),
    Promise(
        "fit-store",
        "A fit store",
        "A store that cannot keep these promises is refused at the start, or warned of, in a"
        " sentence that says what to change.",
        ("docs/redis.md#what-is-checked", "docs/storage.md#sqlite"),
        "Every start asks the server what it is and tries what it needs"
        " (`stores/redis/checks.py`, `stores/sqlite/file.py`).",
    ),
    Promise(
        "outbox",
        "What one writes is kept",
        "What a person has written in the page is kept there until the server has taken it, and is"
        " sent once.",
        ("docs/chat.md#what-the-browser-keeps",),
        "A message leaves the browser's outbox when the server has named its run"
        " (`web/src/state/`).",
    ),
    Promise(
        "harmless-text",
        "Harmless text",
        "What a model or a person writes is text: nothing in it runs, loads or takes the place of"
        " the page.",
        ("docs/chat.md#safety",),
        "Markdown becomes elements of a short list, HTML is never parsed, and the page's policy"
        " allows the server's own scripts alone (`web/src/markdown/`, `server/ui.py`).",
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
        said = f"{', '.join(unknown)}, which is not in the list" if unknown else "none"
        raise ValueError(f"{where} names a promise: {said}. There are: {', '.join(PROMISES)}.")
