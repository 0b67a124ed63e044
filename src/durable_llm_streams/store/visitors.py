"""What a store knows of anonymous visitors: who signed out, and one-time links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Link(NamedTuple):
    """A one-time link that was used.

    Attributes:
        owner: whom it hands on.
        made_at: when it was made, in milliseconds of `VisitorStore.now`.
    """

    owner: str
    made_at: int


class VisitorStore(Protocol):
    """Keeps sign-outs and one-time links. Names and secrets are never compared with patterns."""

    async def now(self) -> int:
        """The time that the store has seen pass, in milliseconds.

        It begins as the wall clock (milliseconds since 1970 UTC), but does not follow its jumps;
        see `stores/seen_time.py`. It is never less than before.
        """
        ...

    async def sign_out(self, owner: str, not_before: int, *, forget: int) -> None:
        """Cookies of an owner that were signed before a time are no longer valid.

        Atomic. An earlier call with a later time stays. Idempotent.

        Args:
            owner: whose.
            not_before: that time, in milliseconds of `now`.
            forget: sign-outs before this time may be deleted: such cookies are too old anyway.
        """
        ...

    async def signed_out(self, owners: Sequence[str]) -> Sequence[int]:
        """For each of the owners the time of `sign_out`; 0 for those that never signed out."""
        ...

    async def keep_link(self, digest: str, link: Link, *, seconds: float) -> None:
        """Keep a one-time link. It replaces the owner's earlier one.

        Atomic and idempotent.

        Args:
            digest: of the link's token; the token itself is never stored.
            link: whom it hands on, and when it was made.
            seconds: how long it is kept, at least; the caller checks `made_at`.
        """
        ...

    async def take_link(self, digest: str) -> Link | None:
        """Use a link: the first call gets it, all others get None.

        Atomic. After `StoreUnavailable` it may be used up, so that repeating the call finds none.

        Args:
            digest: of the link's token.
        """
        ...
