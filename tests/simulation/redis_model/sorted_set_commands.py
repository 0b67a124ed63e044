"""Commands on sorted sets, each as Redis defines it."""

from __future__ import annotations

from collections.abc import Callable

from .command import Command, Words, reading, writing
from .keyspace import Keyspace
from .values import (
    SYNTAX,
    ErrorReply,
    Reply,
    SortedSet,
    decimal,
    integer,
    positions,
    score,
    stretch,
)

_NOT_A_RANGE = b"ERR min or max is not a float"


def _zadd(keys: Keyspace, words: Words) -> Reply:
    if len(words) % 2:
        raise ErrorReply(SYNTAX)
    scores = [score(word) for word in words[2::2]]
    members = keys.sorted_set(words[1])
    if members is None:
        members = SortedSet()
        keys.set(words[1], members)
    return sum(map(members.add, words[3::2], scores))


def _zrem(keys: Keyspace, words: Words) -> Reply:
    members = keys.sorted_set(words[1])
    if members is None:
        return 0
    gone = sum(map(members.remove, words[2:]))
    if not members:
        keys.delete(words[1])
    return gone


def _zscore(keys: Keyspace, words: Words) -> Reply:
    members = keys.sorted_set(words[1])
    found = None if members is None else members.scores.get(words[2])
    return None if found is None else decimal(found)


def _zcard(keys: Keyspace, words: Words) -> Reply:
    return len(keys.sorted_set(words[1]) or ())


_Entries = list[tuple[float, bytes]]


def _by_rank(*, backwards: bool) -> Callable[[Keyspace, Words], Reply]:
    def ranked(keys: Keyspace, words: Words) -> Reply:
        with_scores = _only_with_scores(words[4:])
        where = positions(words)
        members = keys.sorted_set(words[1])
        order: _Entries = [] if members is None else members.order
        chosen = stretch(where, len(order))
        return _shown((order[::-1] if backwards else order)[chosen], with_scores)

    return ranked


def _by_score(*, backwards: bool) -> Callable[[Keyspace, Words], Reply]:
    def scored(keys: Keyspace, words: Words) -> Reply:
        with_scores, offset, count = _options(words[4:])
        low, high = map(_border, words[3:1:-1] if backwards else words[2:4])
        members = keys.sorted_set(words[1])
        if members is None or offset < 0:
            return []
        entries = members.between(low, high)
        if backwards:
            entries.reverse()
        return _shown(entries[offset : None if count < 0 else offset + count], with_scores)

    return scored


def _border(word: bytes) -> tuple[float, bool]:
    """A score at an end of a range, and whether it is itself left out."""
    if word[:1] == b"(":
        return score(word[1:], _NOT_A_RANGE), True
    return score(word, _NOT_A_RANGE), False


def _only_with_scores(options: Words) -> bool:
    if not options:
        return False
    if len(options) > 1 or options[0].upper() != b"WITHSCORES":
        raise ErrorReply(SYNTAX)
    return True


def _options(options: Words) -> tuple[bool, int, int]:
    """WITHSCORES, and LIMIT with its offset and count."""
    with_scores, offset, count = False, 0, -1
    rest = list(options)
    while rest:
        option = rest.pop(0).upper()
        if option == b"WITHSCORES":
            with_scores = True
        elif option == b"LIMIT" and len(rest) >= 2:
            offset, count = integer(rest.pop(0)), integer(rest.pop(0))
        else:
            raise ErrorReply(SYNTAX)
    return with_scores, offset, count


def _shown(entries: _Entries, with_scores: bool) -> list[Reply]:
    if with_scores:
        return [word for at, member in entries for word in (member, decimal(at))]
    return [member for _, member in entries]


#: By their names.
SORTED_SETS: dict[bytes, Command] = {
    b"ZADD": writing(_zadd, -4, grows=True),
    b"ZREM": writing(_zrem, -3),
    b"ZSCORE": reading(_zscore, 3),
    b"ZCARD": reading(_zcard, 2),
    b"ZRANGE": reading(_by_rank(backwards=False), -4),
    b"ZREVRANGE": reading(_by_rank(backwards=True), -4),
    b"ZRANGEBYSCORE": reading(_by_score(backwards=False), -4),
    b"ZREVRANGEBYSCORE": reading(_by_score(backwards=True), -4),
}
