"""Why a model stopped: the providers' words for it, and the AI SDK's.

Case, `-`, `_` and blanks are ignored. A value that is not a word ("", "null", a number) is ignored
too.
"""

from __future__ import annotations

from typing import Any, Final

#: The provider broke the answer off: the same as a cut connection.
BREAK: Final = "break"

_STOP = (
    "stop stopsequence endturn endofturn eos eostoken eot complete completed done finish finished"
)
_LENGTH = "length maxtokens maxoutputtokens maxlength maxnewtokens modellength modelcontextlength"
_FILTER = (
    "contentfilter contentfiltered safety recitation prohibitedcontent blocklist spii imagesafety "
    "refusal sensitive contentpolicy guardrailintervened filtered moderation"
)
_TOOLS = "toolcalls toolcall tooluse functioncall functioncalls"
_BREAK = (
    "abort aborted cancel cancelled canceled error errored failed failure fail internalerror "
    "insufficientsystemresource insufficientresource networkerror servererror serviceunavailable "
    "timeout timedout deadlineexceeded modeloverloaded overloaded overloadederror engineoverloaded "
    "malformedresponse interrupted disconnect disconnected connectionerror preempted"
)

_REASONS: Final = {
    word: reason
    for words, reason in (
        (_STOP, "stop"),
        (_LENGTH, "length"),
        (_FILTER, "content-filter"),
        (_TOOLS, "tool-calls"),
        (_BREAK, BREAK),
    )
    for word in words.split()
}
_NONE = frozenset(
    {"", "null", "none", "nil", "undefined", "unspecified", "finishreasonunspecified"}
)
_SIGNS = str.maketrans("", "", "-_ .")


def finish_reason(value: Any) -> str:
    """The AI SDK's word for a finish reason.

    Args:
        value: what the provider sent as one, of any type.

    Returns:
        `stop`, `length`, `content-filter`, `tool-calls`, `other`, `BREAK`, or "" for no reason.
    """
    if not isinstance(value, str):
        return ""
    word = value.strip().casefold().translate(_SIGNS)
    return "" if word in _NONE else _REASONS.get(word, "other")
