"""Sign-outs and one-time links as the model keeps them: two dicts."""

from __future__ import annotations

from collections.abc import Sequence

from durable_llm_streams.store import Link


class ModelVisitors:
    """What a store knows of visitors. Nothing is ever forgotten because of its age."""

    def __init__(self) -> None:
        self._signed_out: dict[str, int] = {}
        self._links: dict[str, tuple[str, Link]] = {}  # by owner: digest and link

    def sign_out(self, owner: str, not_before: int) -> None:
        self._signed_out[owner] = max(not_before, self._signed_out.get(owner, 0))

    def signed_out(self, owners: Sequence[str]) -> list[int]:
        return [self._signed_out.get(owner, 0) for owner in owners]

    def keep_link(self, digest: str, link: Link) -> None:
        self._links[link.owner] = (digest, link)

    def take_link(self, digest: str) -> Link | None:
        for owner, (held, link) in self._links.items():
            if held == digest:
                del self._links[owner]
                return link
        return None
