"""The parts of an answer beside text: pictures and other files, and the pages that it refers to.

1. A file of up to `MAX_URL` characters (as a `data:` URL) is kept whole. A file at an address is
   kept as the address. A larger file is replaced by a sentence in the text, once. So is a file
   that makes the answer's files together larger than `MAX_FILES`.
2. A page counts once. Only `http:` and `https:` addresses of up to `MAX_ADDRESS` characters count.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from durable_llm_streams.source import Citation, Event, File, TextDelta

from .characters import clean
from .long_lines import CUT

MAX_URL: Final = 256 * 1024  # characters
MAX_FILES: Final = 16 * MAX_URL  # characters
MAX_ADDRESS: Final = 2000  # characters
MAX_TITLE: Final = 300  # characters
_MOST = 500  # files and pages of one answer

_MEDIA = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,60}")
_DATA = re.compile(r"data:([^;,]{1,80})[^,]{0,200},", re.IGNORECASE)
_BASE64_BEGINS = re.compile(r"[A-Za-z0-9+/_-]{2,64}={0,2}")
_INNER = (
    *("image_url", "inline_data", "inlineData", "source", "file", "video_url", "audio_url"),
    *("input_audio", "output_image", "image", "audio"),
)
_URLS = ("url", "file_data", "image_url", "uri", "fileUri")
_BASE64 = ("b64_json", "data", "base64", "b64", "result")
_TYPES = ("media_type", "mime_type", "mediaType", "mimeType", "format", "output_format")
_SCHEMES = ("data:", "http:", "https")
_KINDS = {"image": "a picture", "audio": "sound", "video": "a video"}
_SHORT = {
    **{name: f"image/{name}" for name in ("png", "jpeg", "webp", "gif")},
    **{name: f"audio/{name}" for name in ("wav", "mp3", "flac", "opus", "aac")},
    "jpg": "image/jpeg",
    "pcm16": "audio/pcm",
}


class OtherParts:
    """Reads the parts of one answer; each counts once."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._left = MAX_FILES

    def files(self, parts: Any, events: list[Event]) -> None:
        """Read a list of parts, or one; only files count.

        Args:
            parts: as `images` of OpenRouter, or parts of a content (OpenAI, Gemini, Anthropic).
            events: where the `File` goes, or the sentence about one that is too large.
        """
        for part in parts if isinstance(parts, list) else [parts]:
            found = _file(part)
            if found is not None and self._is_new(found[1]):
                events.append(_event(*found, most=min(MAX_URL, self._left)))
                if isinstance(events[-1], File):
                    self._left -= len(found[1])

    def citations(self, pages: Any, events: list[Event]) -> None:
        """Read a list of pages.

        Args:
            pages: addresses, or objects that hold one: OpenAI's `annotations`, Perplexity's
                `citations` and `search_results`.
            events: where each new `Citation` goes.
        """
        for page in pages if isinstance(pages, list) else ():
            inner = page.get("url_citation") if isinstance(page, dict) else None
            about = inner if isinstance(inner, dict) else page
            url, title = (_get(about, "url", "uri"), _get(about, "title"))
            url = page if isinstance(page, str) else url
            if _is_address(url) and self._is_new(url):
                events.append(Citation(url=url, title=clean(title)[:MAX_TITLE] if title else ""))

    def _is_new(self, url: str) -> bool:
        mark = hash(url)
        if mark in self._known or len(self._known) >= _MOST:
            return False
        self._known.add(mark)
        return True


def is_file(part: Any) -> bool:
    """Whether a part of a content is a file."""
    return _file(part) is not None


def _file(part: Any) -> tuple[str, str] | None:
    """The media type of a part, and its URL (which may be cut)."""
    if isinstance(part, str):
        part = {"url": part} if part[:5].lower() in _SCHEMES else {"data": part}
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    default = "audio/wav" if isinstance(kind, str) and "audio" in kind else "image/png"
    inner: Any = next((part[name] for name in _INNER if part.get(name)), part)
    if isinstance(inner, str):
        inner = {"url": inner}
    if not isinstance(inner, dict):
        return None
    given = (_get(inner, *_TYPES) or _get(part, *_TYPES)).lower()
    media = _SHORT.get(given, given)
    url, data = _get(inner, *_URLS), _get(inner, *_BASE64)
    if url[:5].lower() == "data:":
        found = _DATA.match(url)
        media = found[1].lower() if found is not None else media
    elif url.startswith(("http://", "https://")) and _has_host(url):
        media = media or mimetypes.guess_type(url.partition("?")[0])[0] or ""
    elif len(data or url) >= 4 and _BASE64_BEGINS.fullmatch((data or url)[:64]):
        media = media if _MEDIA.fullmatch(media) else default
        url = f"data:{media};base64,{data or url}"
    else:
        return None
    return (media if _MEDIA.fullmatch(media) else default), url


def _event(media: str, url: str, *, most: int) -> Event:
    if url[:5].lower() != "data:":
        if _is_address(url):
            return File(media_type=media, url=url)
    elif len(url) <= most and CUT not in url and url.isascii():
        return File(media_type=media, url=url)
    what = _KINDS.get(media.partition("/")[0], "a file")
    size = _megabytes(url)
    return TextDelta(
        f"\n\n[The model sent {what} ({media}, {size}). It is too large to be kept here.]\n\n"
    )


def _megabytes(url: str) -> str:
    kept, _, size = url.partition(CUT)
    length = int(size) if size.isascii() and size.isdigit() and len(size) < 12 else len(kept)
    count = length * 3 / 4  # base64
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.0f} KiB"


def _is_address(url: Any) -> bool:
    return (
        isinstance(url, str)
        and len(url) <= MAX_ADDRESS
        and url.lower().startswith(("http://", "https://"))
        and url.isprintable()
        and _has_host(url)
    )


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).netloc)
    except ValueError:  # such as `https://[example.org`
        return False


def _get(value: Any, *names: str) -> str:
    """The first text under one of the names; "" for none."""
    values: Iterable[Any] = (value.get(name) for name in names) if isinstance(value, dict) else ()
    return next((each for each in values if isinstance(each, str) and each), "")
