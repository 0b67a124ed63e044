"""The meanings of failures: the sentence for the reader, and the rule for the run.

This table is the only place that decides what follows from a failure. docs/providers.md shows it.
The sentences are plain ASCII and hold nothing that a provider wrote, except numbers and times.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

MAX_WAIT: Final = 120.0  # seconds: the longest wait that a provider may ask for

_WAITS: Final = f"yes, after the time asked for (at most {MAX_WAIT:.0f} s), else after a short wait"
_SOON: Final = "yes, after a short wait"
_NO: Final = "no"
_NEXT: Final = "no; a continuation takes the next rung"


class Meaning(Struct, frozen=True, kw_only=True):
    """One kind of failure.

    Attributes:
        sentence: what the reader sees.
        retryable: whether a retry may help.
        next_rung: whether the next rung is tried at once after a continuation that fails like this
            before its first text.
        asked_again: the rule in words, for the documentation.
    """

    sentence: str
    retryable: bool
    next_rung: bool = False
    asked_again: str


def _final(sentence: str) -> Meaning:
    return Meaning(sentence=sentence, retryable=False, asked_again=_NO)


def _rung(sentence: str) -> Meaning:
    return Meaning(sentence=sentence, retryable=False, next_rung=True, asked_again=_NEXT)


def _again(sentence: str, rule: str = _SOON) -> Meaning:
    return Meaning(sentence=sentence, retryable=True, asked_again=rule)


MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "too-long": _rung(
            "The conversation is too long for this model. "
            "Start a new chat, or choose a model that reads longer ones."
        ),
        "no-credit": _final(
            "The server's account with the model provider has no credit left. "
            "The person who runs this server must add some."
        ),
        "key-limit": _final(
            "The spending limit of the server's key for the model provider is reached. "
            "The person who runs this server must raise it."
        ),
        "rate-now": _again(
            "The model provider is busy with other requests of this server. Try again in a moment.",
            _WAITS,
        ),
        "rate-long": _final(
            "The model provider takes no more requests from this server for now. "
            "Try again later, or choose another model."
        ),
        "bad-key": _final(
            "The server's key for the model provider was refused. "
            "The person who runs this server must set a valid key."
        ),
        "no-model": _rung("The model provider does not offer this model. Choose another one."),
        "wrong-address": _rung(
            "The model provider has no chat at this address. The person who runs this server must "
            "check OPENAI_BASE_URL; it usually ends with /v1."
        ),
        "refused-content": _rung(
            "The model provider's rules did not let this message through. Try other words."
        ),
        "unverified": _final(
            "The model provider streams this model only to verified organizations. "
            "The person who runs this server must verify theirs, or offer another model."
        ),
        "not-allowed": _final(
            "The model provider does not allow this request. The person who runs this server must "
            "check the account's region, plan and permissions."
        ),
        "unsupported": _rung(
            "The model provider does not accept one of the request's options. "
            "The person who runs this server must change the options for this model."
        ),
        "roles": _rung(
            "The model does not accept the order of this conversation. "
            "Start a new chat, or choose another model."
        ),
        "prefill": _rung("This model cannot go on from a partial answer. Try again."),
        "refused": _rung(
            "The model provider refused the request. "
            "Try again with another message or model; the server's log has the reason."
        ),
        "overloaded": _again("The model provider is too busy now. Try again in a moment.", _WAITS),
        "slow": _again("The model provider took too long. Try again.", _WAITS),
        "broken": _again("The model provider had a problem. Try again.", _WAITS),
        "cut": _again("The model provider's answer broke off. Try again."),
        "nothing": _again("The model provider answered with nothing. Try again."),
        "empty": _again("The model gave an empty answer."),
        "unreadable": _again("The model provider sent something that cannot be read. Try again."),
        "not-a-stream": _rung(
            "The model provider did not answer with a stream. "
            "The person who runs this server must check OPENAI_BASE_URL."
        ),
        "unreachable": _again("The model provider cannot be reached. Try again in a moment."),
        "too-large": _final("The model provider sent a piece that is too large to read."),
        "moved": _final(
            "The model provider's address leads elsewhere. "
            "The person who runs this server must correct OPENAI_BASE_URL."
        ),
        "job-gone": _again("The model provider no longer keeps this answer. Try again."),
        "job-ended": _again("The model provider ended its work on this answer. Try again."),
    }
)

# More precise sentences, for when more is known.
CAN_AFFORD: Final = (
    "The server's account with the model provider has too little credit for so long an answer. "
    "The person who runs this server must add some, or lower DLS_MAX_TOKENS{}."
)
TOO_MANY_TOKENS: Final = (
    "This model cannot write an answer as long as the server allows. "
    "The person who runs this server must lower DLS_MAX_TOKENS."
)
BUSY_UNTIL: Final = (
    "The model provider takes no more requests from this server for now. Try again after {}."
)
BAD_CERTIFICATE: Final = (
    "The model provider's certificate is not trusted. The person who runs this server must check "
    "its address, or name the right certificates in DLS_PROVIDER_CA."
)
NO_TLS: Final = (
    "No secure connection to the model provider can be made. "
    "The person who runs this server must check OPENAI_BASE_URL."
)
UNKNOWN_NAME: Final = (
    "The network does not know the model provider's name. "
    "The person who runs this server must check OPENAI_BASE_URL and the network."
)
NO_PROXY: Final = (
    "The proxy between this server and the model provider does not let it through. "
    "The person who runs this server must check the proxy's settings."
)


def refuses_rung(meaning: str) -> bool:
    """Whether a failure of this kind refuses a continuation.

    Args:
        meaning: a key of `MEANINGS`; False for any other word.
    """
    found = MEANINGS.get(meaning)
    return found is not None and found.next_rung
