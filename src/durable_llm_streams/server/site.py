"""The settings about the base path and about other sites, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from durable_llm_streams.errors import InvalidSetting

_SEGMENTS: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?"
)
_ANY_SUBDOMAIN: Final = "*."
_PORTS: Final = {"http": "80", "https": "443"}


class Site(NamedTuple):
    """The base path and the other sites that may use the application.

    Attributes:
        base_path: "" or a path that begins with a slash and does not end with one.
        cors_origins: whose pages may call the API, as browsers write them in `Origin`.
        frame_ancestors: whose pages may show ours in a frame, as sources of a policy.
    """

    base_path: str = ""
    cors_origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls, base_path: str, cors_origins: Iterable[str], frame_ancestors: Iterable[str]
    ) -> Site:
        """Read the three settings. Raises InvalidSetting."""
        return cls(
            _path(base_path),
            _origins("DLS_CORS_ORIGINS", cors_origins, _origin),
            _origins("DLS_FRAME_ANCESTORS", frame_ancestors, _source),
        )

    @property
    def shared(self) -> bool:
        """Whether pages of other sites send our cookies."""
        return bool(self.cors_origins or self.frame_ancestors)


def _path(text: str) -> str:
    path = text.strip().rstrip("/")
    if not path:
        return ""
    is_plain = _SEGMENTS.fullmatch(path) is not None
    if not is_plain or any(segment in {".", ".."} for segment in path.split("/")):
        raise InvalidSetting(
            f"DLS_BASE_PATH is {text[:100]!r}. It must be a path such as `/chat`: a slash first, "
            "then letters, digits and . _ ~ - between slashes, without `..`, `?` and `#`."
        )
    return path


def _origins(
    setting: str, texts: Iterable[str], read: Callable[[str], str | None]
) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        origin = read(text.strip().lower().removesuffix("/"))
        if origin is None:
            raise InvalidSetting(_refusal(setting, text))
        found.append(origin)
    return tuple(dict.fromkeys(found))


def _refusal(setting: str, text: str) -> str:
    example = "an origin, such as `https://app.example.org`"
    if text.strip() == "*":
        return (
            f"{setting} cannot be `*`: with visitors' cookies any site could read their chats. "
            f"List each site by {example}."
        )
    return (
        f"{setting} holds {text[:100]!r}. Write {example}: scheme, host and port, no path. "
        "Separate several by commas."
    )


def _origin(text: str) -> str | None:
    """An origin as browsers send it (RFC 6454, section 6.2), or None."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if port is not None and int(port) > 65_535:
        return None
    return f"{scheme}://{host}" + (f":{port}" if port and port != _PORTS.get(scheme) else "")


def _source(text: str) -> str | None:
    """An origin whose host may begin with `*.` (CSP 3, section 2.3.1), or None."""
    scheme, separator, host = text.partition("://")
    if not host.startswith(_ANY_SUBDOMAIN):
        return _origin(text)
    origin = _origin(scheme + separator + host.removeprefix(_ANY_SUBDOMAIN))
    return origin and origin.replace("://", f"://{_ANY_SUBDOMAIN}")
