"""The dialect of chat completions for an endpoint and a model: a table of rows.

All rows that match an address and a model apply, in order; later rows override earlier ones. The
rows here hold what the providers document. The rest is learned from refusals (`learning`), or set
by the operator (`dialect_file`).

Sources: openrouter.ai/docs/api-reference, platform.openai.com/docs/api-reference/chat,
learn.microsoft.com/azure/ai-foundry/openai/reference, docs.mistral.ai/api,
docs.databricks.com/machine-learning/foundation-model-apis/api-reference,
api-docs.deepseek.com/guides/chat_prefix_completion, ai.google.dev/gemma/docs/core/prompt-structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from yarl import URL

from .prefill import PrefillStyle

DialectName = Literal["openrouter", "openai", "generic"]


class Dialect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one model at one address is asked.

    Attributes:
        key: how the key is sent: `bearer`, `none`, or the name of a header.
        headers: more headers of every request.
        body: more fields of every request's body.
        stream: whether the answer is requested as a stream.
        stream_options: whether the usage is requested by `stream_options`.
        max_tokens: the name of the field that limits the output; "" if there is none.
        temperature: whether the temperature may be set.
        effort: the field that says how much to think.
        system: whether there is a system role; without one, its text opens the first question.
        prefill: how a model that matches no prefill pattern continues its own answer.
        fallbacks: whether the field `models` is understood (OpenRouter).
        thinks: whether the model thinks in silence.
        begins_thinking: whether its text begins inside a thought, without `<think>`.
        default_model: the model if none is set; "" for one that the server lists.
    """

    key: str = "bearer"
    headers: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    stream: bool = True
    stream_options: bool = True
    max_tokens: Literal["max_tokens", "max_completion_tokens", ""] = "max_tokens"
    temperature: bool = True
    effort: Literal["reasoning_effort", "reasoning", "none"] = "reasoning_effort"
    system: bool = True
    prefill: PrefillStyle | None = None
    fallbacks: bool = False
    thinks: bool = False
    begins_thinking: bool = False
    default_model: str = ""


class Row(Struct, frozen=True):
    """One line of the table.

    Args:
        changes: fields of `Dialect` by name.
        address: a pattern as in a shell (`*`, `?`, `[...]`), in lower case; compared with the host,
            with `host:port` and with `host:port/path` of the base address.
        model: a pattern, compared with the model's id and with what comes after its last `/`.
    """

    changes: Mapping[str, Any]
    address: str = "*"
    model: str = "*"


def _rows(changes: Mapping[str, Any], *, models: str) -> Iterable[Row]:
    return [Row(changes, model=model) for model in models.split()]


#: The host whose rows a name selects; see `Dialects`.
_NAMED: Final[dict[str, str]] = {"openrouter": "openrouter.ai", "openai": "api.openai.com"}

_OPENROUTER = {
    "stream_options": False,  # the usage is always sent
    "effort": "reasoning",
    "fallbacks": True,
    "default_model": "openrouter/auto",
}
_AZURE = {"key": "api-key"}
_NO_STREAM_OPTIONS = {"stream_options": False}

ROWS: Final[tuple[Row, ...]] = (
    Row(_OPENROUTER, "openrouter.ai"),
    Row(_OPENROUTER, "*.openrouter.ai"),
    Row({"default_model": "gpt-5-mini"}, "api.openai.com"),
    Row({"default_model": "gpt-5-mini"}, "*.api.openai.com"),
    Row(_AZURE, "*.openai.azure.com"),
    Row(_AZURE, "*.cognitiveservices.azure.com"),
    Row(_AZURE, "*.services.ai.azure.com"),
    Row(_NO_STREAM_OPTIONS | {"prefill": "mistral"}, "api.mistral.ai"),
    Row(_NO_STREAM_OPTIONS | {"prefill": "mistral"}, "codestral.mistral.ai"),
    Row(_NO_STREAM_OPTIONS, "*.databricks.com"),
    Row(_NO_STREAM_OPTIONS, "*.databricksapps.com"),
    Row(_NO_STREAM_OPTIONS, "*.azuredatabricks.net"),
    Row({"prefill": "mistral"}, "api.deepseek.com/beta*"),
    *_rows({"max_tokens": "max_completion_tokens"}, models="o1* o3* o4* gpt-5*"),
    Row({"max_tokens": "max_tokens"}, "*openrouter.ai"),
    *_rows({"system": False}, models="*gemma-[1-3]* *gemma[1-3]* o1-mini* o1-preview*"),
    *_rows(
        {"thinks": True},
        models="o1* o3* o4* gpt-5* *:thinking *-thinking* *-reasoner* *deepseek-r1* *qwq* grok-4* "
        "gemini-2.5-pro* gemini-3* magistral*",
    ),
)


class Dialects:
    """The table for one address.

    Args:
        url: the base address.
        more: rows that come after the built-in ones.
        name: a provider whose rows apply, whatever the address is; `generic` for no provider.
    """

    def __init__(
        self, url: URL, more: Iterable[Row] = (), *, name: DialectName | None = None
    ) -> None:
        self._rows = [
            row
            for rows, places in (
                (ROWS, _places(url) if name is None else [_NAMED.get(name, "")]),
                (more, _places(url)),
            )
            for row in rows
            if any(fnmatchcase(place, row.address.lower()) for place in places)
        ]

    def of(self, model: str = "") -> Dialect:
        """How a model is asked; without a model, how any model at the address is asked."""
        id_ = model.lower()
        names = (id_, id_.rpartition("/")[2])
        changes: dict[str, Any] = {"headers": {}, "body": {}}
        for row in self._rows:
            if any(fnmatchcase(name, row.model.lower()) for name in names):
                changed = dict(row.changes)
                changes["headers"] = {**changes["headers"], **changed.pop("headers", {})}
                changes["body"] = {**changes["body"], **changed.pop("body", {})}
                changes |= changed
        return msgspec.convert(changes, Dialect)


def _places(url: URL) -> list[str]:
    host = (url.host or "").lower()
    place = f"{host}:{url.port}"
    path = url.path.rstrip("/")
    return [host, place, f"{host}{path}", f"{place}{path}"]
