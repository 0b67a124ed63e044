"""The address of a Redis: one line of text that says where it is and how to speak to it.

    redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]             one server
    rediss://…                                                   the same over TLS
    unix:///PATH/TO/SOCKET[?db=DATABASE]                         one server, by its socket
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/SERVICE[/DATABASE]
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],…

`redis+unix://` is `unix://`; `rediss+sentinel://` and `rediss+cluster://` speak TLS. IPv6 addresses
stand in brackets. In names, passwords and options, `%` and two hexadecimal digits stand for a
character that means something else in an address (`%40` is `@`, `%2F` is `/`).

Options follow a `?`, joined by `&`:

| Option | Meaning | Default |
| --- | --- | --- |
| `prefix` | how all keys and channels begin | `dls` |
| `timeout` | seconds that one call may take | `5` |
| `db` | the database, where no path gives it | `0` |
| `ca` | TLS: the file with the authority's certificate | the system's authorities |
| `cert`, `key` | TLS: files with this client's certificate and its key | none |
| `verify` | TLS: `full`, or `none` to trust any certificate | `full` |
| `sentinel_user`, `sentinel_password` | how to sign in at the sentinels | not at all |
| `partitions` | Cluster: how many groups of keys, 1 to 256; fixed by the first start | `16` |
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import quote, unquote

import msgspec

from durable_llm_streams.errors import InvalidSetting

Mode = Literal["single", "unix", "sentinel", "cluster"]
Verify = Literal["full", "none"]

REDIS_PORT = 6379
SENTINEL_PORT = 26379

#: Of each scheme: the mode, and whether it is TLS.
_SCHEMES: dict[str, tuple[Mode, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_FORMS: dict[Mode, str] = {
    "single": "redis://HOST:6379/0 or rediss://USER:PASSWORD@HOST:6379/0",
    "unix": "unix:///PATH/TO/SOCKET?db=0",
    "sentinel": "redis+sentinel://HOST:26379,HOST:26379/SERVICE/0",
    "cluster": "redis+cluster://HOST:6379,HOST:6379",
}
_TLS_OPTIONS = {"ca", "cert", "key", "verify"}
_SENTINEL_OPTIONS = {"sentinel_user", "sentinel_password"}
_OPTIONS = {"prefix", "timeout", "db", "partitions"} | _TLS_OPTIONS | _SENTINEL_OPTIONS

_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._~-]+)?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

_LONGEST_TIMEOUT = 300.0
_MOST_PARTITIONS = 256
_CLUSTER_PARTITIONS = 16


class Node(NamedTuple):
    """A server's place in the network."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Redis is and how to speak to it. As text, it never shows a password.

    Attributes:
        mode: `single`, `unix`, `sentinel` or `cluster`.
        nodes: the server, the sentinels, or some of a Cluster's servers; none with a socket.
        path: of the socket, if it is one.
        service: the name that the sentinels know the server by.
        db: the number of the database.
        tls: whether everything is said over TLS, to sentinels too.
        user: whom to sign in as; None is Redis's default user.
        password: None where no sign-in is needed.
        prefix: how all keys and channels begin.
        timeout: seconds that one call may take.
        partitions: how many groups of keys there are, each on one server.
        ca: file with the authority's certificate; None trusts the system's authorities.
        cert: file with this client's certificate.
        key: file with its key; None when it is in `cert` too.
        verify: whether the server's certificate is checked.
        sentinel_user: whom to sign in as at the sentinels.
        sentinel_password: None where the sentinels want none.
    """

    mode: Mode
    nodes: tuple[Node, ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    tls: bool = False
    user: str | None = None
    password: str | None = None
    prefix: str = "dls"
    timeout: float = 5.0
    partitions: int = 1
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: Verify = "full"
    sentinel_user: str | None = None
    sentinel_password: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address; the module's docstring has the forms.

        Raises:
            InvalidSetting: it is none; the sentence says how to write it, and shows no password.
        """
        scheme, separator, rest = text.strip().partition("://")
        if not separator or scheme.lower() not in _SCHEMES:
            forms = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
            raise InvalidSetting(
                f"The Redis address does not begin with one of {forms}. "
                f"Write for example {_FORMS['single']}."
            )
        mode, tls = _SCHEMES[scheme.lower()]
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        credentials, _, places = authority.rpartition("@")
        fields = _credentials(credentials, mode)
        options = _options(query, mode, tls=tls)
        if mode == "unix":
            if places or not path:
                raise _wrong(mode, "names no socket")
            fields |= {"path": _decoded(slash + path, mode)}
        else:
            fields |= {"nodes": _nodes(places, mode)}
            fields |= _path(path, mode)
        if "db" in fields and "db" in options:
            raise _wrong(mode, "names its database twice")
        address = cls(mode=mode, tls=tls, **fields, **options)
        if address.key and not address.cert:
            raise _wrong(mode, "has the option key, but not cert")
        if mode == "cluster" and address.db:
            raise _wrong(mode, f"names database {address.db}, but a Cluster has only database 0")
        return address

    @property
    def redacted(self) -> str:
        """The address as text, with `***` for each password and no options but the prefix."""
        scheme = {"single": "", "unix": "+unix"}.get(self.mode, f"+{self.mode}")
        user = quote(self.user or "", safe="")
        credentials = "" if self.password is None else f"{user}:***@"
        nodes = ",".join(map(str, self.nodes))
        path = f"/{self.service}" if self.service else self.path
        query = [f"prefix={self.prefix}"] if self.prefix != "dls" else []
        if self.mode == "unix":
            query = [f"db={self.db}", *query]
        elif self.mode != "cluster":
            path += f"/{self.db}"
        tail = "?" + "&".join(query) if query else ""
        return f"redis{'s' if self.tls else ''}{scheme}://{credentials}{nodes}{path}{tail}"

    def __str__(self) -> str:
        return self.redacted

    def __repr__(self) -> str:
        return f"RedisAddress({self.redacted})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("address", self.redacted)]


def _credentials(text: str, mode: Mode) -> dict[str, Any]:
    if not text:
        return {}
    user, colon, password = text.partition(":")
    if not colon:
        raise _wrong(mode, "names a user without a password (for none, write USER:@HOST)")
    return {"user": _decoded(user, mode) or None, "password": _decoded(password, mode)}


def _nodes(text: str, mode: Mode) -> tuple[Node, ...]:
    parts = text.split(",")
    if mode == "single" and len(parts) > 1:
        raise _wrong(
            mode,
            "names several servers: write redis+sentinel:// or redis+cluster:// before them, "
            "or keep one",
        )
    default = SENTINEL_PORT if mode == "sentinel" else REDIS_PORT
    return tuple(dict.fromkeys(_node(part.strip(), default, mode) for part in parts))


def _node(text: str, default: int, mode: Mode) -> Node:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            bracket = ""
        if not _IPV6.fullmatch(host):  # what is behind a % may be anything to `ipaddress`
            bracket = ""
        if not bracket or (port and not port.startswith(":")):
            raise _wrong(mode, "has an IPv6 address that is none")
        port = port[1:] if port else str(default)
    else:
        host, colon, port = text.partition(":")
        port = port if colon else str(default)
        if not host:
            raise _wrong(mode, "names no host")
        if not _HOST.fullmatch(host):
            # Not shown: it may be the rest of a password with an @ or a / in it.
            raise _wrong(mode, "has a host that no name can be")
    if not _NUMBER.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise _wrong(mode, "has a port that is no number from 1 to 65535")
    return Node(host, int(port))


def _path(path: str, mode: Mode) -> dict[str, Any]:
    """The service and the database that the path names."""
    if mode != "sentinel":
        return {"db": _database(path, mode)} if path else {}
    service, _, db = path.partition("/")
    if not service:
        raise _wrong(mode, "names no service: what the sentinels call the server, often mymaster")
    return {"service": _decoded(service, mode)} | ({"db": _database(db, mode)} if db else {})


def _database(text: str, mode: Mode) -> int:
    if not _NUMBER.fullmatch(text):
        raise _wrong(mode, "has a database that is no number")
    return int(text)


def _options(query: str, mode: Mode, *, tls: bool) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if name not in _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            raise _wrong(mode, f"has an option that is none; there are {known}")
        if not equals or not value:
            raise _wrong(mode, f"has the option {name} without a value")
        if name in texts:
            raise _wrong(mode, f"has the option {name} twice")
        texts[name] = _decoded(value, mode)
    return {name: _option(name, text, mode, tls=tls) for name, text in texts.items()} | (
        {} if mode != "cluster" or "partitions" in texts else {"partitions": _CLUSTER_PARTITIONS}
    )


def _option(name: str, text: str, mode: Mode, *, tls: bool) -> Any:
    if name in _TLS_OPTIONS and not tls:
        raise _wrong(mode, f"has the option {name}, which is for TLS: begin with rediss")
    if name in _SENTINEL_OPTIONS and mode != "sentinel":
        raise _wrong(mode, f"has the option {name}, which is for redis+sentinel://")
    if name == "db":
        return _database(text, mode)
    if name == "timeout":
        return _timeout(text, mode)
    if name == "partitions":
        return _partitions(text, mode)
    if name == "verify" and text not in ("full", "none"):
        raise _wrong(mode, "has an option verify that is neither full nor none")
    if name == "prefix" and not _PREFIX.fullmatch(text):
        raise _wrong(
            mode,
            "has an option prefix with more than 64 or other characters than A-Z a-z 0-9 . _ : -",
        )
    return text


def _timeout(text: str, mode: Mode) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= _LONGEST_TIMEOUT:
        raise _wrong(mode, "has an option timeout that is no number of seconds from 0.1 to 300")
    return seconds


def _partitions(text: str, mode: Mode) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= _MOST_PARTITIONS:
        raise _wrong(mode, "has an option partitions that is no number from 1 to 256")
    if mode != "cluster" and int(text) != 1:
        raise _wrong(mode, "has the option partitions, which is for redis+cluster://")
    return int(text)


def _decoded(text: str, mode: Mode) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if not decoded.isprintable():
        raise _wrong(mode, "has a character that cannot be printed, perhaps a wrong %-code")
    return decoded


def _wrong(mode: Mode, what: str) -> InvalidSetting:
    return InvalidSetting(
        f"The Redis address {what}. Write for example {_FORMS[mode]}; "
        "in a password, write @ as %40, / as %2F, ? as %3F and % as %25."
    )
