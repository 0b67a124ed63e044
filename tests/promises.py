"""What is promised: each promise, where users read it, how it is kept, what it does not cover.

A test that tries to break a promise carries its id, `@pytest.mark.promise("fencing")`, and
`pytest --promise fencing` runs all of them. `tests/test_promises.py` fails if a promise has no
test or a test names an unknown promise. `docs/guarantees.md` is written from this list.
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
        sentence: What is promised, in one sentence.
        promised: The places in the documentation that promise it, `PAGE#HEADING`.
        kept: How it is kept, in a sentence or two, with the module that does it.
        limits: What it does not cover.
    """

    id: str
    title: str
    sentence: str
    promised: tuple[str, ...]
    kept: str
    limits: str


_ALL = (
    Promise(
        "prefix",
        "Prefix",
        "What a reader has received is at every moment a prefix of the log: no gap, no repeat, no"
        " reordering, whatever was cut when.",
        (_README, "docs/http.md#the-stream"),
        "Readers pull pages by cursor from one ordered log (`log/reader.py`). Every append names"
        " the sequence number that it expects to write, so a repeated call adds nothing"
        " (`store/`).",
        'A store that loses records it had acknowledged; see "A lost tail is reported".',
    ),
    Promise(
        "fencing",
        "Fencing",
        "Once another worker has claimed a run, nothing of the old one is ever appended, even by"
        " a process that was frozen and wakes up.",
        (_README, "docs/continuing.md#when-a-worker-dies"),
        "Every write carries its epoch: the claim's number and random token. The store compares"
        " both in the same atomic step as the write: on SQLite in the one process that holds the"
        " file (`stores/sqlite/logs.py`), on Redis in the script (`stores/redis/lua/append.lua`).",
        "The request to the model: a fenced worker's request may still be billed until it is"
        " closed.",
    ),
    Promise(
        "one-end",
        "One end",
        "Every answer ends with exactly one `finish`, `error` or `abort`, written together with"
        " its status and the message in the history; nothing follows it.",
        (_README, "docs/http.md#the-stream"),
        "`LogStore.end` is one atomic step that returns the same result when it is repeated. An"
        " ended run accepts no append.",
        "When the end comes. A chat that is deleted while it is answered has no end; its readers"
        " get 404 or 410.",
    ),
    Promise(
        "stop",
        "Stop is a fact",
        "When `stop` returns, no chunk can follow; what was said is kept. From any process, any"
        " tab, after a reload.",
        (_README, "docs/http.md#the-stream"),
        "A stop takes a new epoch and ends the run in one step, so the old worker is fenced"
        " whether or not it is notified (`runs/stopping.py`).",
        "What the provider does: its request is closed, or its job cancelled, after the stop."
        " Text that the worker had not committed yet is dropped.",
    ),
    Promise(
        "idempotent-send",
        "Idempotent send",
        "The same message sent again makes no second answer; the second caller follows the first"
        " one's stream.",
        (_README, "docs/http.md#sending"),
        "The message's id, or the `Idempotency-Key`, is stored with the run as a key of its chat."
        " Looking for the key and accepting the message are one atomic step.",
        "A regeneration without an `Idempotency-Key`: it is recognised as a duplicate only while"
        " its answer is written. After that it makes another version.",
    ),
    Promise(
        "history-is-fold",
        "History is the fold",
        "The stored message equals what the AI SDK makes of the stream.",
        (_README, "docs/http.md#a-page-that-is-loaded"),
        "`fold.py` follows the SDK's rules, and its result is what is stored at the end. There is"
        " no second source.",
        "Other versions of the AI SDK than the one that the tests install.",
    ),
    Promise(
        "seen-is-durable",
        "Seen is durable",
        "A chunk reaches a reader only after it is committed.",
        (_README, "docs/storage.md#sqlite", "docs/redis.md#what-can-be-lost"),
        "Readers never see a writer's buffer. SQLite wakes waiting readers after the commit"
        " (`stores/sqlite/logs.py`); on Redis a record is published by the script that appends it"
        " (`stores/redis/lua/append.lua`).",
        "A power failure with the default settings: `DLS_SQLITE_SYNCHRONOUS=NORMAL` and"
        " `appendfsync everysec` may lose the last moments. `FULL` and `always` do not, if the"
        " disk keeps its word.",
    ),
    Promise(
        "lost-tail-is-told",
        "A lost tail is reported",
        "A reader whose cursor the store has lost is told to start over; it is never left waiting"
        " or given other text under the same cursor.",
        ("docs/http.md#the-stream", "docs/redis.md#what-can-be-lost"),
        "A cursor names the epoch that wrote its record. A cursor beyond the log's end, or at a"
        " record that another epoch wrote, gets 410 (`log/reader.py`).",
        "A store that was restored from a copy or edited by hand: cursors are recognised by what"
        " they name, not by when they were made. An ended answer or a whole chat that a failover"
        " lost is missing.",
    ),
    Promise(
        "bounded",
        "Bounded",
        "Memory per reader is bounded and a slow reader holds nobody back; every record and every"
        " key of an ended answer has its retention.",
        ("docs/storage.md#how-long-things-are-kept", "docs/redis.md#the-layout-of-the-keys"),
        "Readers pull, so nothing is queued for them. A writer buffers 1,024 records, then waits"
        " (`log/writer.py`). Ended logs and old chats are deleted by `Store.expire`; on Redis"
        " their keys also get a time to live in the step that ends the run.",
        "A cursor after `DLS_RETENTION_LOG` (a day after the end) and a chat after"
        " `DLS_RETENTION_CHATS` (a year after its last change): they are gone.",
    ),
    Promise(
        "owned",
        "Owned",
        "Nobody reads, resumes, stops or lists what is not theirs; an id is no credential.",
        (_README, "docs/http.md#who-asks"),
        "Every call of the store on behalf of a visitor names the owner. A foreign chat gets the"
        " same answer as one that does not exist (`server/visitors.py`, `store/`).",
        "Anyone who can read or write the store itself: the key that signs cookies is in it.",
    ),
    Promise(
        "takeover",
        "Takeover",
        "An answer whose worker dies or freezes is finished by another one.",
        ("README.md#more-than-one-machine", "docs/continuing.md#when-a-worker-dies"),
        "A lease that is not renewed expires. Any worker then claims the run, folds its log and"
        " continues (`runs/worker.py`).",
        "The moment. A takeover comes after the lease (`DLS_LEASE`, 5 seconds; four times that"
        " with `DLS_REDIS_ECONOMY`), when a living process has room.",
    ),
    Promise(
        "one-clean-answer",
        "One clean answer",
        "Two attempts are never shown together: whatever way an answer goes on, its reader sees"
        " one.",
        ("docs/continuing.md#after-the-first-token",),
        "The next attempt reads the provider's own job again, or continues from the last word in"
        " the log, or writes `reset-step` first; the fold and every client drop the text before it"
        " (`runs/ladder.py`, `runs/answer.py`).",
        "The same words again: after a restarted step the model may answer differently. Text that"
        " was never stored is not shown, and may be billed.",
    ),
    Promise(
        "honest-failure",
        "Honest failure",
        "Every accepted message ends in an answer, a stop, or a failure that is told, within its"
        " attempts and its time.",
        ("docs/continuing.md#after-the-first-token", "docs/continuing.md#time-limits"),
        "Failed attempts are counted in the log and takeovers by the store. Time limits end each"
        " attempt and the whole run (`runs/limits.py`, `runs/patience.py`).",
        "Time in which no server runs or the store is away: limits are enforced by a living"
        " worker.",
    ),
    Promise(
        "hand-over",
        "Hand-over",
        "A server that is told to end finishes what it can within its grace, commits what was"
        " said, gives the rest to others at once, not after a lease, and ends its streams cleanly;"
        " it counts as no failure.",
        ("docs/deployment.md#ends-and-updates", "docs/continuing.md#when-a-worker-dies"),
        "The worker starts nothing new, finishes within `DLS_GRACE`, then stops its sources,"
        " flushes and releases its runs, each step with a timeout (`runs/worker.py`,"
        " `cli/serve.py`).",
        "A process that is killed, or a store that is away at that moment: then a takeover"
        " follows.",
    ),
    Promise(
        "outage",
        "Outage",
        "A store that does not answer for a while costs nothing but time.",
        (
            "docs/deployment.md#when-redis-is-away",
            "docs/continuing.md#when-the-store-does-not-answer",
        ),
        "Writers buffer and retry the same batch (`log/writer.py`), streams send comments"
        " meanwhile (`server/streams.py`), and nobody claims until owners could renew their leases"
        " (`runs/worker.py`).",
        "Text in the memory of a process that is killed meanwhile: up to 1,024 records of each"
        " answer. No reader has seen them; the model is asked again.",
    ),
    Promise(
        "no-leak",
        "Nothing left behind",
        "No lease, task, connection, file or key is left behind by what has ended.",
        ("docs/redis.md#the-layout-of-the-keys", "docs/storage.md#sqlite"),
        "What is opened is closed by its opener, and closing waits, with a timeout. What a killed"
        " process left in Redis has a time to live.",
        "A process that is killed leaves the file's lock to the operating system and its"
        " connections to the other side's timeouts.",
    ),
    Promise(
        "no-secrets",
        "No secrets",
        "What a provider writes into its errors reaches no reader; keys and passwords reach"
        " neither readers nor logs.",
        ("docs/http.md#errors", "docs/deployment.md#redis-itself"),
        "Readers get one of our own sentences (`providers/failures/meanings.py`,"
        " `server/problems.py`). Logs of provider errors are redacted"
        " (`providers/failures/redactor.py`); addresses and settings print without secrets.",
        "A secret that a user or a model writes into a message: messages are stored as they are.",
    ),
    Promise(
        "tool-once",
        "Tools once",
        "The result of a tool call is in the log once and never computed again.",
        ("docs/guarantees.md#tools-once",),
        "The log of a run keeps every result, and a worker that takes over reads it first.",
        "Everything, for now: nothing runs tools yet. Logs are checked for a result that occurs"
        " twice.",
    ),
    Promise(
        "compatible",
        "Compatible",
        "An unmodified AI SDK client sends, reads, resumes, edits and stops.",
        ("README.md#use-it-from-your-code", "docs/http.md#the-stream"),
        "The wire format is the SDK's own, byte for byte, with cursors in the events' `id`, which"
        " the SDK ignores (`wire/`).",
        "Resuming inside a stream: the unmodified SDK reads the answer from its beginning again.",
    ),
    Promise(
        "foreign-bytes",
        "Foreign bytes",
        "Whatever bytes come from outside, from a client or a provider: a clear error or what"
        " they mean; never a crash, never a trace.",
        ("docs/http.md#errors",),
        "Each format is read by a pure function with bounds (`wire/`, `providers/`), and every"
        " error has a row in one table (`server/problems.py`).",
        "Bytes that other software writes into the store.",
    ),
    Promise(
        "feed",
        "The live feed",
        "A visitor's feed brings every change to their chats, those of a chat in order, or says"
        " that something was missed.",
        ("docs/http.md#the-live-feed",),
        "A change is recorded in the same step that makes it. A feed from an unknown position"
        " begins with `complete: false` (`server/feed.py`, `store/`).",
        "History: on SQLite the feed is in the server's memory, on Redis it is kept for a day,"
        " and it holds about a hundred changes. In a Cluster the order of two chats' changes is"
        " open.",
    ),
    Promise(
        "versions",
        "Nothing is overwritten",
        "An edit or another answer stands beside the old one; every version stays reachable.",
        ("docs/http.md#sending", "docs/http.md#a-page-that-is-loaded"),
        "A message has a parent, and sending only adds messages (`store/`).",
        "Deleting a chat deletes all of its versions.",
    ),
    Promise(
        "migration",
        "Migration",
        "A migration copies each chat whole or not at all, can be started again after any end,"
        " and finds every difference.",
        ("docs/migrating.md#when-it-is-interrupted", "docs/migrating.md#how-it-is-verified"),
        "A chat appears in the target in one step, once all of it has arrived. At the end both"
        " stores are read from the beginning and compared (`stores/migration/`).",
        "Changes in the source while it is copied: stop its servers first. The live feed is not"
        " copied; browsers list their chats again.",
    ),
    Promise(
        "fit-store",
        "A fit store",
        "A store that cannot keep these promises is refused at the start, or warned of, in a"
        " sentence that says what to change.",
        ("docs/redis.md#what-is-checked", "docs/storage.md#sqlite"),
        "Every start asks the server about itself and tries what it needs"
        " (`stores/redis/checks.py`, `stores/sqlite/file.py`).",
        "Settings that change while the servers run. A network file system may hide that another"
        " process uses the same SQLite file.",
    ),
    Promise(
        "outbox",
        "What one writes is kept",
        "What a person has written in the page is kept there until the server has taken it, and"
        " is sent once.",
        ("docs/chat.md#what-the-browser-keeps",),
        "A message leaves the browser's outbox when the server has named its run"
        " (`web/src/state/outbox.ts`).",
        "A browser that clears or refuses storage for the site.",
    ),
    Promise(
        "harmless-text",
        "Harmless text",
        "What a model or a person writes is text: nothing in it runs, loads or takes the place of"
        " the page.",
        ("docs/chat.md#safety",),
        "Markdown becomes elements of a short list and HTML is never parsed. The page's policy"
        " allows only the server's own scripts (`web/src/markdown/`, `server/ui.py`).",
        "A link that a person opens, and a picture from another host that a person asks for.",
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
