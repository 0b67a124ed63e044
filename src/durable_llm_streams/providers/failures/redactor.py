"""Removes secrets from a provider's text, for the operator's log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

MAX_DETAIL: Final = 1000  # characters

_REDACTED = "[redacted]"
_KEY_LENGTH = 16  # characters; keys have more

# patterns of keys, ours or not
_TOKENS = re.compile(
    r"(?<=[Bb]earer )[^\s\"',;]{8,}"
    r"|\b(?:sk|pk|rk|gsk|xai|pplx|csk|nvapi|fw|tgp|hf|ghp|gho|glpat)[-_][A-Za-z0-9_-]{12,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{12,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
)


def long_texts(fields: Any) -> Iterator[str]:
    """The texts in a request's fields that are long enough to be keys."""
    if isinstance(fields, str):
        yield from [fields] if len(fields) >= _KEY_LENGTH else []
    elif isinstance(fields, Mapping):
        for value in fields.values():
            yield from long_texts(value)


class Redactor:
    """Removes secrets from a provider's text.

    Args:
        secrets: the secrets; texts under 8 characters are ignored.
    """

    def __init__(self, secrets: Iterable[str | None]) -> None:
        found = {secret for secret in secrets if secret and len(secret) >= 8}
        # The longest first: a secret may contain another one.
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets and keys, on one line, at most `MAX_DETAIL` characters."""
        for secret in self._secrets:
            text = text.replace(secret, _REDACTED)
        text = _TOKENS.sub(_REDACTED, text[: 8 * MAX_DETAIL])
        text = "".join(mark if mark.isprintable() else " " for mark in text[: 4 * MAX_DETAIL])
        return " ".join(text.split())[:MAX_DETAIL]
