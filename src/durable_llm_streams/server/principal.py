"""Principals: who sends a request, and whose chats they may therefore see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

#: How a principal was identified: by the visitor's cookie, by credentials of a kind that the
#: server checks itself, or by the `authenticate` hook of an application.
PrincipalKind = Literal["visitor", "token", "jwt", "proxy", "hook"]

#: The longest owner, in characters. It is a part of keys in the store, and of log lines.
MAX_OWNER_LENGTH: Final = 200

_MARK: Final = "~"
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_PLAIN: Final = frozenset({"visitor", "hook"})


class InvalidPrincipal(ValueError):
    """This cannot be a principal. The text says why; it is for the log, not for the client."""


class Principal(Struct, frozen=True):
    """The sender of a request.

    Attributes:
        name: who it is, among all of this kind and tenant.
        kind: how the principal was identified.
        tenant: the customer whose users these are, where one store serves several: letters,
            digits, dots, dashes and underscores.
        headers: for the response, such as a new cookie.
        is_new: whether the request itself identified nobody, and a new visitor was made.

    Raises:
        InvalidPrincipal: the owner would be empty, too long, or not printable.
    """

    name: str
    kind: PrincipalKind = "hook"
    tenant: str | None = None
    headers: Mapping[str, str] = {}
    is_new: bool = False

    def __post_init__(self) -> None:
        owner_of(self.name, self.kind, self.tenant)

    @property
    def owner(self) -> str:
        """The owner of this principal's chats, as stores keep it."""
        return owner_of(self.name, self.kind, self.tenant)


def owner_of(name: str, kind: PrincipalKind, tenant: str | None = None) -> str:
    """The owner that a store keeps.

    It is the name itself for visitors and for a hook's users without a tenant, as it has always
    been. All others are `~KIND:NAME` or `~TENANT/KIND:NAME`. No name begins with `~` and no tenant
    holds a `/` or `:`, so an owner shows its kind, its tenant and its name.

    Raises:
        InvalidPrincipal: the owner would be empty, too long, or not printable.
    """
    if not isinstance(name, str):
        raise InvalidPrincipal(f"A principal's name must be a str, not {type(name).__name__}.")
    if not name.strip():
        raise InvalidPrincipal("A principal's name must not be empty.")
    if name.startswith(_MARK):
        raise InvalidPrincipal(f"A principal's name must not begin with `{_MARK}`.")
    if kind not in get_args(PrincipalKind):
        raise InvalidPrincipal(f"A principal's kind must be one of {get_args(PrincipalKind)}.")
    if tenant is not None and not _TENANT.match(tenant):
        raise InvalidPrincipal(
            "A tenant must have 1 to 64 letters, digits, dots, dashes or underscores."
        )
    within = "" if tenant is None else f"{tenant}/"
    owner = name if kind in _PLAIN and not within else f"{_MARK}{within}{kind}:{name}"
    if len(owner) > MAX_OWNER_LENGTH:
        raise InvalidPrincipal(
            f"A principal's name has {len(name)} characters. With its kind and tenant it must "
            f"not have more than {MAX_OWNER_LENGTH}. Use a hash of it."
        )
    if not owner.isprintable():  # no control characters, and no half of a surrogate pair
        raise InvalidPrincipal("A principal's name must have printable characters only.")
    return owner
