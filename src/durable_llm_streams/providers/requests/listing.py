"""The models that a server lists (`GET /models`), and which of them is used if none is set."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from yarl import URL

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures

from .request import base_address, endpoint_url

logger = logging.getLogger(__name__)

#: The id of "a model that the server lists".
AUTO: Final = "auto"

_FALLBACK = "gpt-5-mini"  # if nothing is listed: most such servers are proxies for OpenAI
_NO_LIST = (404, 405, 501)
_MOST_ID = 200  # characters

_NOT_FOR_CHATS = re.compile(
    r"embed|bge|rerank|whisper|tts|transcri|moderation|dall-e|minilm|\bgte\b|stable-diffusion|flux",
    re.IGNORECASE,
)
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)$")  # Azure: the address names the model

Get = Callable[[URL], Awaitable[tuple[int, str]]]


class Listing:
    """The last list of a server's models.

    Attributes:
        known: the model that `AUTO` means, or "" as long as it is not known.
    """

    def __init__(self) -> None:
        self.known = ""

    def chosen(self, model: str) -> str:
        """The model that is meant."""
        return self.known or model if model == AUTO else model

    def is_missing(self, model: str) -> bool:
        """Whether the server must be asked before it is known which model is meant."""
        return model == AUTO and not self.known

    def forget(self) -> None:
        """Forget the list: the server may have other models now."""
        self.known = ""

    async def read(self, base_url: str, get: Get) -> tuple[Sequence[str], str]:
        """Ask the server.

        Args:
            base_url: of the server; without a path, `/v1` is tried as well.
            get: gives the status and the body of a document.

        Returns:
            The models' ids, and the base address under which the server lists them.

        Raises:
            ModelError: it is unreachable, fails, or has no model.
        """
        base = base_address(base_url)
        if deployment := _DEPLOYMENT.search(base.path):
            self.known = deployment[1]
            return [self.known], base_url
        bases = [base] if base.path.strip("/") else [base, base.with_path("/v1")]
        status, body = 0, ""
        for place in bases:
            status, body = await get(endpoint_url(str(place), "models"))
            ids = model_ids(body) if status == 200 else None
            if ids:
                self._found(ids, base, place)
                return ids, str(place)
        return [self._without_list(status, body)], base_url

    def _found(self, ids: Sequence[str], base: URL, place: URL) -> None:
        if place != base:
            logger.warning("The provider's address lacks its path; /v1 is used from now on.")
        self.known = AUTO if AUTO in ids else ids[0]
        logger.info("Questions without a model go to %s: no DLS_MODEL is set.", self.known)

    def _without_list(self, status: int, body: str) -> str:
        if status == 200 and model_ids(body) is not None:
            raise ModelError(
                "The model provider has no model. "
                "The person who runs this server must load one, or set DLS_MODEL.",
                detail=body,
            )
        if status not in (200, *_NO_LIST):
            raise failures.refused(status, body)
        self.known = _FALLBACK
        logger.warning("The provider lists no models. %s is asked; set DLS_MODEL.", _FALLBACK)
        return _FALLBACK


def model_ids(body: str) -> list[str] | None:
    """The ids in a list of models: those for chats, or all if there are none of these.

    Servers write it as `{"data": [{"id": ...}]}` (OpenAI), as the array alone (Together), or as
    `{"models": [{"name": ...}]}` (Ollama's own).

    Args:
        body: the document.

    Returns:
        The ids in the server's order; None if the document is not such a list.
    """
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if isinstance(value, dict):
        if "data" not in value and "models" not in value:
            return None
        value = value.get("data") or value.get("models") or []
    if not isinstance(value, list):
        return None
    entries = [entry for entry in value if isinstance(entry, dict)]
    names = (entry.get("id") or entry.get("name") for entry in entries)
    ids = list(dict.fromkeys(n for n in names if isinstance(n, str) and 0 < len(n) <= _MOST_ID))
    return [id_ for id_ in ids if not _NOT_FOR_CHATS.search(id_)] or ids
