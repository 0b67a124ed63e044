"""The one fake provider: what a request gets is a line of text, over real HTTP or without.

    async with FakeProvider() as provider:
        provider.plan("tokens=5", "status=429,retry_after=7")   # for the next two requests
        ... ask provider.base_url ...
        request = await provider.request(0)
        request.headers, request.body, request.ended, request.closed_early

Without a plan a request's script is taken from its model: `fake:tokens=100,rate=50`. Any other
model answers with the defaults. The answer is `w1 w2 ... wN `, whatever the question, so that a
test can compute it: `answer(n)`. A request that ends with an assistant's message is answered
with the rest of the answer, from where that message ends. A request with `"stream": false` gets
one JSON answer. `script` lists the options.

| Module | Holds | I/O |
| --- | --- | --- |
| `wire` | the forms of answers: chat completions, responses, kept bytes | none |
| `script` | the options of a request, the table of faults | none |
| `kept` | answers that are made with or without a reader | none |
| `chat`, `responses` | from a request and its script to the steps of an answer | none |
| `http` | the server that plays steps, byte by byte | sockets |
| `provider`, `llama` | the servers that tests start | sockets |

The corpus (`tests/providers`) and the campaign (`tests/crash`) have servers of their own over
`http`; the simulator plays the steps without sockets (`tests/simulation/provider_session.py`).
"""

from .http import End, HttpServer, Raw, Reply, Request, Step
from .kept import Kept
from .llama import Address, FakeLlama
from .provider import KEY, FakeProvider, Refusal
from .script import ODD, SECRET_WORDS, Script, answer

__all__ = [
    "KEY",
    "ODD",
    "SECRET_WORDS",
    "Address",
    "End",
    "FakeLlama",
    "FakeProvider",
    "HttpServer",
    "Kept",
    "Raw",
    "Refusal",
    "Reply",
    "Request",
    "Script",
    "Step",
    "answer",
]
