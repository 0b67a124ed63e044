"""Which part of a request a provider refuses, so that the request can be sent without it."""

from __future__ import annotations

import re
from typing import Final, Literal

from . import wordings
from .evidence import Evidence, from_body

#: Statuses with which providers refuse a field. 0 and 200: an error inside an answer.
FIELD_STATUSES: Final = frozenset({0, 200, 400, 404, 405, 406, 415, 422, 500, 501, 502})

# A field of the request, however a provider spells it, without underscores.
_KNOWN: Final = {
    name.replace("_", ""): name
    for name in (
        *("stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"),
        *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "n", "logprobs", "user"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "response_format"),
        *("reasoning", "reasoning_effort", "include_reasoning", "thinking", "enable_thinking"),
        *("verbosity", "models", "route", "provider", "usage", "store", "metadata", "transforms"),
        *("plugins", "service_tier", "parallel_tool_calls", "tools", "tool_choice", "background"),
        *("chat_template_kwargs", "prediction", "modalities", "web_search_options", "top_logprobs"),
        *("prefix", "continue_final_message", "add_generation_prompt", "prompt_cache_key"),
        *("safe_prompt", "thinking_budget", "num_ctx", "keep_alive", "extra_body"),
    )
} | {"includeusage": "stream_options", "streaming": "stream"}

# Field names that do not occur in other sentences; other names must be in quotes or after a colon.
_TELLING: Final = frozenset(
    {"stream", "temperature", "verbosity", "logprobs", "reasoning", "thinking", "modalities"}
    | {name for name in _KNOWN.values() if "_" in name}
)

_NAME = r"(?P<name>[a-z][a-z0-9_.\[\]/-]{0,60})"
_QUOTED = rf"(?:: ?['\"`\[(]{{0,3}}| ?['\"`\[(]{{1,3}}){_NAME}"
_WHAT = (
    r"(?:request |body |extra |top-level |input |keyword )?"
    r"(?:parameter|param|field|argument|property|option|key|name)s?"
)
_NOT = r"(?:not|n't|cannot) (?:yet |currently )?"
_OK = (
    r"(?:supported|allowed|permitted|accepted|implemented|available|enabled|recogni[sz]ed|"
    r"compatible)"
)


def _patterns(*sources: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(source) for source in sources)


# With these words around it, the name is certainly a field of the request.
_CERTAIN: Final = _patterns(
    rf"unrecognized request arguments? supplied{_QUOTED}",
    rf"extra inputs are not permitted, field{_QUOTED}",
    rf"(?:^|[\s#/'\"`(]){_NAME}['\"`]?: extra inputs are not permitted",
    rf"'loc': [\[(]'body', '{_NAME}'",
    r"(?:unsupported|unknown|unexpected|unrecogni[sz]ed|extraneous|extra|additional) "
    rf"{_WHAT}(?: in (?:the )?request)?{_QUOTED}",
    rf"unsupported value{_QUOTED}['\"`] does not support",
    rf"{_WHAT} not (?:supported|allowed)(?: (?:on|with|by|for|in) this \w{{1,20}})?{_QUOTED}",
    rf"\('{_NAME}' (?:was|were) unexpected",
    rf"{_NOT}(?:support|accept|allow) (?:the )?(?:following )?{_WHAT}{_QUOTED}",
    rf"{_NOT}(?:support|accept|allow) {_WHAT} {_NAME}",
    rf"{_WHAT} ['\"`]{_NAME}['\"`] (?:is |are )?(?:{_NOT}{_OK}|unsupported|unknown)",
    rf"(?<!model )(?<!model: )['\"`]{_NAME}['\"`] (?:{_WHAT} )?"
    rf"(?:is |are )(?:{_NOT}{_OK}|unsupported|deprecated)",
)

# Only an unmistakable name counts here: it might be any other word.
_LIKELY: Final = _patterns(
    rf"{_NOT}(?:support|accept|allow|enable) (?:the |use of |custom |setting |['\"`]){{0,3}}"
    rf"{_NAME}",
    rf"\b{_NAME}['\"`]? (?:{_WHAT} )?(?:is |are )?"
    rf"(?:{_NOT}{_OK}|unsupported|deprecated|only supported|mandatory)",
    rf"\binvalid (?:value for )?['\"`]?{_NAME}",
    rf"(?:range of|reduce|lower|use a smaller) ['\"`]?{_NAME}",
    rf"\b{_NAME}['\"`]? (?:or \S{{1,30}} )?(?:is |are |must be |cannot be )"
    r"(?:too large|too high|less than|at most|1\b|greater|disabled)",
    r"\b(?P<name>max_(?:completion_|output_)?tokens)\b",
)

_NAMING = re.compile(r"unsupported_parameter|unknown_parameter|unsupported_value|extra_forbidden")
_INSTEAD = re.compile(r"\buse ['\"`]?(?P<name>[a-z][a-z0-9_]{0,40})['\"`]? instead")


def unsupported_field(status: int, body: str) -> str | None:
    """Which field of the request the server does not accept.

    Args:
        status: the HTTP status; 200 for an error inside an answer.
        body: the response's body, JSON or text.

    Returns:
        The name of a top-level field as OpenAI spells it, such as `stream_options`; `system` or
        `developer` for a role that is not accepted; None if no field is named.
    """
    return named_field(status, from_body(body))


def field_instead(body: str) -> str | None:
    """The field that the server wants instead of the refused one, such as `max_completion_tokens`.

    Args:
        body: the response's body.
    """
    found = _INSTEAD.search(from_body(body).text)
    return _KNOWN.get(found["name"].replace("_", "")) if found else None


def role_rule(status: int, body: str) -> Literal["alternate", "no-system"] | None:
    """Which rule about roles the request broke.

    Args:
        status: the HTTP status; 200 for an error inside an answer.
        body: the response's body.

    Returns:
        `alternate`: the user and the assistant must take turns, and the user begins. `no-system`:
        a system message is not allowed. None: it is about something else.
    """
    return broken_role_rule(status, from_body(body))


def named_field(status: int, found: Evidence) -> str | None:
    """`unsupported_field` for evidence that was read already."""
    if status not in FIELD_STATUSES or found.form == "page":
        return None
    text = found.text
    for path in found.extra:
        if name := _top(path):
            return name
    if wordings.TOO_MANY_TOKENS.search(text):
        return _likely(text, only="max_") or "max_tokens"
    if wordings.TOO_LONG.search(text):
        return None
    if role := _role(text):
        return role
    return _by_param(found, text) or _certain(text) or _likely(text)


def broken_role_rule(status: int, found: Evidence) -> Literal["alternate", "no-system"] | None:
    """`role_rule` for evidence that was read already."""
    if status not in FIELD_STATUSES or found.form == "page":
        return None
    text = found.text
    # A template's own source may hold both rules; the last one counts.
    *_, text = wordings.EXCEPTION.split(text)
    if wordings.NO_SYSTEM.search(text):
        return "no-system"
    return "alternate" if wordings.ALTERNATE.search(text) else None


def _role(text: str) -> str | None:
    if wordings.NO_DEVELOPER.search(text):
        return "developer"
    return "system" if wordings.NO_SYSTEM.search(text) else None


def _by_param(found: Evidence, text: str) -> str | None:
    """OpenAI's `param`, if the code or the text says that the field itself is refused."""
    if not found.params:
        return None
    if any(_NAMING.search(word) for word in found.words) or re.search(
        r"not supported|unsupported|unrecognized|unknown|not permitted|unexpected|deprecated", text
    ):
        return _top(found.params[0])
    return None


def _certain(text: str) -> str | None:
    for pattern in _CERTAIN:
        for found in pattern.finditer(text):
            name = _top(found["name"])
            quoted = text[max(0, found.start("name") - 1)] in "'\"`[("
            if name and (quoted or "_" in name or name in _KNOWN.values()):
                return name
    return None


def _likely(text: str, *, only: str = "") -> str | None:
    text = text.replace("reasoning effort", "reasoning_effort")
    for pattern in _LIKELY[-1:] if only else _LIKELY[:-1]:
        for found in pattern.finditer(text):
            name = _top(found["name"])
            if name and name in _TELLING and name.startswith(only):
                return name
    return None


def _top(path: str) -> str | None:
    """The top-level field of a path such as `#/stream_options/include_usage`."""
    steps = [step for step in re.split(r"[^a-z0-9_-]+", path) if step not in ("", "body")]
    if not steps or steps[0] in ("messages", "message", "input", "model"):
        return None
    name = steps[0].strip("-")
    return _KNOWN.get(name.replace("_", "").replace("-", ""), name)
