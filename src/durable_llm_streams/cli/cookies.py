"""The visitor's cookie of each server, kept in the user's state directory."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from aiohttp.abc import AbstractCookieJar
from yarl import URL


def state_dir() -> Path:
    """The directory where this program keeps its state."""
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "durable-llm-streams"


class CookieFile:
    """Cookies by server address, readable by their owner only.

    Errors of reading or writing the file are ignored.

    Args:
        directory: where the file is.
        url: the server's address.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self._path = directory / "cookies.json"
        self._url = URL(url)
        self._saved: dict[str, str] = {}

    def load(self, jar: AbstractCookieJar) -> None:
        """Put the server's cookies into the jar."""
        cookies = self._read().get(self._key)
        if isinstance(cookies, dict):
            self._saved = {str(name): str(value) for name, value in cookies.items()}
            jar.update_cookies(self._saved, self._url)

    def save(self, jar: AbstractCookieJar) -> bool:
        """Save the server's cookies, if they changed. False: they could not be written."""
        cookies = {name: morsel.value for name, morsel in jar.filter_cookies(self._url).items()}
        if cookies == self._saved:
            return True
        try:
            self._write({**self._read(), self._key: cookies})
        except OSError:
            return False
        self._saved = cookies
        return True

    @property
    def _key(self) -> str:
        return str(self._url.with_path("/").with_query(None).with_fragment(None).with_user(None))

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: dict[str, Any]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".cookies-")  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
