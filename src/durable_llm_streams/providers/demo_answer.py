"""The text of the demo, in pieces. `@QUESTION@` and `@TURN@` are filled in by `demo.answer`.

The Python listings run as they stand; a test compiles them.
"""

from __future__ import annotations

from typing import Final

INTRO: Final = r"""
**This is the built-in demo**, not a language model: nothing here reads what you write. For real
answers, set `OPENROUTER_API_KEY` or `OPENAI_API_KEY` (and `OPENAI_BASE_URL` for another provider
or a local server), then start again.

You asked, as question @TURN@ of this chat:

> “@QUESTION@”

"""

THOUGHT: Final = r"""
The question asks me to think. I am a fixed text with a stable hash, so this will be quick. What
would a reader want from a demo? Something long enough to be interrupted, and a dare. So: say what
I am, quote the question, explain one idea, then hand over the scissors.
"""

SHORT: Final = r"""
The short version: every word here was **committed to a log before you saw it**. Reload the page
in the middle of a *long* answer and it goes on where you were.
"""

CHALLENGE: Final = r"""
## Now try to break it

While this is being written:

1. **Reload** the page, or open the same chat in a second tab.
2. **Cut the network** for a while.
   - A short cut: the words that you missed arrive at once.
   - A long one: the answer is finished without you, and waits.
3. Find the server's process and `kill -9` it; then start it again.
   - Another process, or the new one, claims this answer.
   - It continues *this sentence*, not a new one.

If a word is missing or stands here twice, you have found a bug, and we would love to hear of it.
"""

JOURNAL: Final = r"""
## The stream is the journal

Most chat servers push tokens into a socket and hope. Here an answer is first of all an
**append-only log**, and the socket is only one of its readers:

| Who reads the log | From where | Until |
| --- | --- | --- |
| the tab that asked | record 1 | the end |
| the tab that came back | its cursor | the end |
| the worker after a crash | record 1 | the last word said |
| the history | record 1 | the terminal record |

A message is nothing but the *fold* of its records, $m_n = f(m_{n-1}, r_n)$, so that

$$
m_n = f(f(\dots f(m_0, r_1) \dots), r_n)
$$

is the same for everybody who has read as far as $n$. In Python:

```python
from functools import reduce

records = ["Dur", "able ", "streams"]
message = reduce(lambda text, record: text + record, records, "")
assert message == "Durable streams"
```

> There is no second source of truth, so there are no two that can disagree.

The records travel as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html),
each with a cursor as its `id`.
"""

FENCING: Final = r"""
## Two writers, one answer

Suppose the process that writes this answer is frozen, not dead. Its lease runs out, another one
takes over, and then *the first wakes up and goes on writing*. What now?

| Time | Process A | Process B | The log takes |
| ---: | --- | --- | --- |
| 0 s | writes in epoch 1 | | A |
| 3 s | frozen | waits | nothing |
| 20 s | frozen | claims epoch 2 | B |
| 21 s | wakes up, writes | writes | **only B** |

Clocks and good intentions do not help; a number does. Every write names its epoch, and the store
compares it in the same atomic step:

```sql
UPDATE runs SET next_seq = next_seq + 1
 WHERE id = :run AND epoch = :epoch AND next_seq = :expected;
```

With a lease of $L$ seconds, renewed every $h$, and a look around every $c$, the pause that you see
after a crash is

$$
L - h \le t_{\text{pause}} \le L + c
$$

and it is a pause, not a loss.

> A lease says who *should* write. Only the fence says who *can*.

The idea is called a
[fencing token](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

RETURN: Final = r"""
## How a reader comes back

Networks fail in **four** ways, and only the first is polite:

| What happens | What the reader notices | What it does |
| --- | --- | --- |
| the stream ends | no terminal record came | asks again |
| the connection breaks | an error | asks again |
| the server restarts | `503`, or nobody answers | waits, asks again |
| silence | no byte for 40 seconds | hangs up, asks again |

“Asks again” means: *here is the last thing that I have; what came after it?* You can do it by hand,
with the `id` of any event:

```sh
curl -N -b cookies.txt \
  -H "Last-Event-ID: $CURSOR" \
  "http://localhost:8000/api/chat/$CHAT/stream"
```

When a server dies, a thousand readers lose it in the same instant. If all came back after exactly
one second they would knock it over again, so attempt $n$ waits for a random time,

$$
d_n \sim U\bigl(0, \min(d_{\max},\ d_0 \cdot 2^n)\bigr)
$$

which spreads the crowd: on average $d_n$ is half of its bound.

> Reconnecting is easy. Reconnecting *without saying anything twice* needs a cursor.

More about [back-off and jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

TOPICS: Final = (JOURNAL, FENCING, RETURN)

TOY: Final = r'''
## A durable stream in thirty lines

All of it fits on a page. The listing keeps records, refuses a stale writer, and lets a reader come
back; it runs as it stands:

```python
class Fenced(Exception):
    """Another epoch writes this log."""


class Log:
    def __init__(self) -> None:
        self.epoch = 0
        self.records: list[str] = []

    def claim(self) -> int:
        """Become the one that writes."""
        self.epoch += 1
        return self.epoch

    def append(self, epoch: int, at: int, record: str) -> None:
        """Compare, then append: both or neither."""
        if epoch != self.epoch:
            raise Fenced
        if at == len(self.records):
            self.records.append(record)

    def read(self, after: int) -> list[str]:
        """What a reader lacks who has `after` records."""
        return self.records[after:]


log = Log()
first = log.claim()
log.append(first, 0, "Hello ")
second = log.claim()  # the first was frozen; somebody took over
log.append(second, 1, "world")
log.append(second, 1, "world")  # a repeated call adds nothing
try:
    log.append(first, 2, "oops")
except Fenced:
    pass
assert log.read(after=0) == ["Hello ", "world"]
assert log.read(after=1) == ["world"]
```

What the page leaves out is the hard part: the three lines of `append` must be **one atomic step in
a store that outlives the process**, and the reader must never see a record that the store could
still lose. A dictionary cannot do that. A database can:

- *SQLite*, on one machine:
  - one file, one writer, a write-ahead log;
  - a commit gathers what many answers said in the last few milliseconds.
- *Redis*, on many:
  - the comparison and the append are one script;
  - any server process may die, and any other may go on.
'''

NIGHT: Final = r"""
## One night of an answer

A story in six records, to show who knows what, and when:

1. **23:14:02** You ask. The question and the run are stored in one step, and only then does the
   server answer at all. If your phone sends the question twice (phones do), the second copy finds
   the first one's run and simply follows it.
2. **23:14:03** The first word is committed, then shown. The order matters: a word that you have
   seen can no longer be un-said.
3. **23:14:09** The train enters a tunnel. The server notices nothing and needs to notice nothing;
   the log grows, and nobody waits for you.
4. **23:14:31** A deploy. The old process stops taking work, writes down what it still holds, and
   lets go of its runs. A new one claims them *at once*, without waiting for a lease to run out.
5. **23:14:33** The new process folds the log, sees a sentence that ends in “and then the”, and asks
   the model to go on from there.
6. **23:15:10** Light. Your phone says “I have everything up to this cursor”, gets the rest in one
   piece, and the text that you were reading grows under your eyes.

Nobody pressed a button. That is the whole point.

### What was *not* promised

It is tempting to write “exactly once” here. It would be wrong: between the last stored word and the
crash, the provider may have produced a few words that nobody ever stored, and it may charge for
them. What can be kept is a weaker promise that is enough:

> What any reader has received is, at every moment, a prefix of the log: no gap, no repeat, no
> other order, whatever was cut when.

Some models cannot continue a sentence. Then the step begins again, and readers are told to drop the
failed attempt before the new one starts, so that the two are never shown together:

| The model can | After a crash | You pay again for |
| --- | --- | --- |
| be asked for the rest of its job | the same stream goes on | nothing |
| continue a given beginning | the next word follows the last | the prompt |
| neither | the step begins again | the step |

### How likely is all this?

Rarer than a developer fears, more often than a user forgives. If a connection breaks on average
once in $T$ seconds, then an answer of $t$ seconds arrives in one piece with probability

$$
p = e^{-t/T}
$$

For a phone on a train, with $T = 120$ and a minute of thinking, that is $p \approx 0.61$: *four
answers in ten are cut*. With a log behind the stream the number does not change, but it stops being
interesting.
"""
