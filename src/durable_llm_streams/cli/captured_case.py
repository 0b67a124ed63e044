r"""A recorded answer as a file of the corpus (tests/providers/corpus/README.md). Pure text.

1. Texts are TOML's literal strings. Characters that those cannot hold, and every byte that is not
   UTF-8, become `\xHH`.
2. Secrets are overwritten with as many `x`, so the positions of the bytes do not change. Only
   headers are kept that say how to read the answer or when to retry.
3. A long run of base64 (a picture) becomes as many `A`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from .recording import Exchange, Read

_PAUSE: Final = 0.1  # seconds; a shorter pause is not worth a line
_RUN: Final = re.compile(rb"[A-Za-z0-9+/]{1000,}")
_UNFIT: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")  # as `surrogateescape` decodes such bytes
_HEADERS: Final = re.compile(
    r"retry-after.*|x-ratelimit-(limit|remaining|reset).*|ratelimit.*|x-should-retry"
    r"|content-encoding|location",
    re.IGNORECASE,
)
_KEYS: Final = re.compile(
    rb"(?:sk|pk|rk|gsk|xai|pplx|csk|nvapi|fw|tgp|hf|ghp|gho)[-_][A-Za-z0-9_*-]{6,}"
    rb"|AIza[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
)


class Masker:
    """Overwrites secrets.

    Args:
        secrets: texts that must not be in the file; those under 6 characters are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {
            form.encode()
            for secret in secrets
            if len(secret) >= 6
            for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
        }
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, data: bytes) -> bytes:
        """The same number of bytes, with secrets and likely keys overwritten."""
        for form in self._forms:
            data = data.replace(form, b"x" * len(form))
        return _KEYS.sub(lambda found: b"x" * len(found[0]), data)

    def text(self, text: str) -> str:
        """The same for a text."""
        return self(text.encode()).decode()


def case(
    exchanges: Sequence[Exchange],
    *,
    question: str,
    settings: Mapping[str, str],
    expect: Mapping[str, Any],
    mask: Masker,
) -> str:
    """The text of the file.

    Args:
        exchanges: the recorded requests and responses.
        question: the question.
        settings: the environment variables of the case.
        expect: the result, by the names of `[expect]`.
        mask: overwrites the secrets.
    """
    failed = expect.get("status") == "failed"
    lines = [
        'title = "Describe in a sentence what is unusual about this answer"',
        f'kind = "{"failure" if failed else "text"}"  # a row of the table in docs/providers.md',
        f"ask = [{_quoted(mask.text(question))}]",
    ]
    if settings:
        pairs = (f"{name} = {_quoted(mask.text(value))}" for name, value in settings.items())
        lines += ["", "[settings]", *pairs]
    for exchange in exchanges:
        lines += ["", "[[answer]]", *_answer(exchange, mask)]
    values = (f"{name} = {_value(value, mask)}" for name, value in expect.items())
    return "\n".join([*lines, "", "[expect]", *values, ""])


def _answer(exchange: Exchange, mask: Masker) -> list[str]:
    lines = []
    if exchange.method != "POST":
        lines.append(
            f'when = {{ method = "{exchange.method}", path = {_quoted(_tail(exchange))} }}'
        )
    if not exchange.status:
        step = "reset" if exchange.end == "broken" else "hang"
        return [*lines, "head = false", f"body = [{{ {step} = true }}]"]
    lines.append(f"status = {exchange.status}")
    lines.append(f"type = {_quoted(exchange.media_type)}")
    kept = {n: mask.text(v) for n, v in exchange.headers.items() if _HEADERS.fullmatch(n)}
    if kept:
        pairs = ", ".join(f"{_quoted(name)} = {_quoted(value)}" for name, value in kept.items())
        lines.append(f"headers = {{ {pairs} }}")
    if exchange.headers.get("Transfer-Encoding", "").lower() == "chunked":
        lines.append('framing = "chunked"')
    if exchange.wait >= _PAUSE:
        lines.append(f"wait = {exchange.wait:.1f}")
    items = [item for read in _masked(exchange.reads, mask) for item in _items(read)]
    if exchange.end in ("broken", "silent"):
        items.append("{ reset = true }" if exchange.end == "broken" else "{ hang = true }")
    if items:
        lines += ["body = [", *(f"{item}," for item in items), "]"]
    return lines


def _tail(exchange: Exchange) -> str:
    """The end of the path: only the endpoint's name."""
    return "/" + exchange.path.rpartition("/")[2]


def _masked(reads: Sequence[Read], mask: Masker) -> Iterable[Read]:
    """The reads without secrets; a secret may be split between two reads."""
    whole, begin = mask(b"".join(read.data for read in reads)), 0
    for read in reads:
        end = begin + len(read.data)
        yield Read(read.pause, whole[begin:end])
        begin = end


def _items(read: Read) -> Iterable[str]:
    if read.pause >= _PAUSE:
        yield f"{{ pause = {read.pause:.1f} }}"
    begin = 0
    for run in _RUN.finditer(read.data):
        if read.data[begin : run.start()]:
            yield _literal(read.data[begin : run.start()])
        yield f'{{ repeat = "A", times = {len(run[0])} }}'
        begin = run.end()
    if read.data[begin:]:
        yield _literal(read.data[begin:])


def _literal(data: bytes) -> str:
    data = data.replace(b"\\x", b"\\x5cx").replace(b"@{", b"\\x40{").replace(b"'''", b"''\\x27")
    data = _UNFIT.sub(lambda found: b"\\x%02x" % found[0][0], data)
    if data.endswith(b"'"):
        data = data[:-1] + b"\\x27"
    text = data.decode("utf-8", "surrogateescape")
    text = _NOT_UTF8.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return f"'''\n{text}'''"


def _value(value: Any, mask: Masker) -> str:
    if isinstance(value, str):
        return _quoted(mask.text(value))
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, list)
    return f"[{', '.join(_value(item, mask) for item in value)}]"


def _quoted(text: str) -> str:
    """A basic string. JSON's escapes are TOML's; DEL must be escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
