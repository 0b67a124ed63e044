"""How models introduce a continuation: with a preamble ("Sure, continuing:") or an apology."""

from __future__ import annotations

import re
from collections.abc import Iterator

_POLITE = r"sure|certainly|of course|absolutely|okay|ok|al+ ?right|understood|got it|no problem"
_PREAMBLE = re.compile(
    rf"\s*(?:{_POLITE}|yes|here(?:['\u2019]s| is)|continu(?:ing|ed|ation)|resuming|picking up"
    r"|let me|i(?:['\u2019]ll| will))\b[^\n:.!\u2026]{0,120}(?:[:.!\u2026]+(?=\s|$)|(?=\n))",
    re.IGNORECASE,
)
_BARE_PREAMBLE = re.compile(rf"\s*(?:{_POLITE})(?: thing)?[!.:\u2026]+(?:\s|$)", re.IGNORECASE)
_ABOUT_GOING_ON = re.compile(
    r"contin|go(?:ing)? on|pick(?:ing)? up|the rest|left off|stopped|cut off|resum|remain|complet",
    re.IGNORECASE,
)
_APOLOGY = re.compile(
    r"\s*(?:i(?:['\u2019]m| am) (?:sorry|unable|afraid)|sorry\b|apologies|i apologi[sz]e"
    r"|i can(?:['\u2019]t|not)\b|as an ai\b|it (?:looks|seems|appears) (?:like|that|as) "
    r"|could you please|i do(?:n['\u2019]t| not) (?:see|have) )",
    re.IGNORECASE,
)
_APOLOGY_SENTENCE = re.compile(_APOLOGY.pattern + r"[^\n.!:]{0,160}[.!:]+\s", re.IGNORECASE)
_BREAK = re.compile(r"[:.!\u2026]\s+|\n+")
_NEW_SENTENCE = re.compile(
    r"[\"'\u201c(*_]{0,3}[A-Z\u00c0-\u00de][a-z\u00df-\u00ff]*[\s,:;'\u2019]"
    r"|#{1,6} |[-+>] |\d{1,3}[.)] |```"
)


def is_about_itself(text: str) -> bool:
    """Whether a text begins with an apology or a bare preamble, such as "Sure."."""
    return bool(_APOLOGY.match(text) or _BARE_PREAMBLE.match(text))


def begins_sentence(text: str) -> bool:
    """Whether a text begins like a new sentence or block."""
    return _NEW_SENTENCE.match(text) is not None


def answer_starts(held: str) -> Iterator[tuple[int, bool]]:
    """Where the answer's own text may begin, and whether a known preamble is before it."""
    yield 0, True
    begin, known = 0, set[int]()
    while match := _PREAMBLE.match(held, begin) or _APOLOGY_SENTENCE.match(held, begin):
        begin = match.end()
        known.add(begin)
        yield begin, True
    for match in _BREAK.finditer(held):
        if match.end() not in known:
            yield match.end(), False


def without_preamble(text: str) -> str:
    """The text after a preamble about going on; the whole text if there is none."""
    bare = _BARE_PREAMBLE.match(text)
    match = _PREAMBLE.match(text, bare.end() if bare else 0)
    if match is None or not _ABOUT_GOING_ON.search(match[0]):
        return text
    rest = text[match.end() :]
    return after_separator(rest) if match[0][-1] in ":…" or rest.startswith("\n") else text


def after_separator(text: str) -> str:
    """The text after a preamble, without the one blank line, line break or space between them."""
    for separator in ("\n\n", "\n", " "):
        if text.startswith(separator):
            return text[len(separator) :]
    return text
