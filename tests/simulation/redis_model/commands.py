"""The commands that the product's scripts use, each as Redis defines it.

Options that no script uses are missing. `test_redis_model` compares these with a real server.
"""

from __future__ import annotations

from collections.abc import Callable

from .keyspace import OK, ErrorReply, Hash, Keyspace, List, Reply, SortedSet

#: Given the keys and the words after the command's name.
Command = Callable[..., Reply]


def _integer(word: bytes) -> int:
    try:
        return int(word)
    except ValueError:
        raise ErrorReply("ERR value is not an integer or out of range") from None


def _score(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:
        raise ErrorReply("ERR value is not a valid float") from None


def decimal(number: float) -> bytes:
    """A score, or a number of a script, as Redis writes it: `%.17g`."""
    if -1e17 < number < 1e17 and (whole := int(number)) == number:
        return b"%d" % whole
    return b"%.17g" % number


def _stretch(first: bytes, last: bytes, length: int) -> slice:
    """Positions as Redis counts them: both are included, negative ones count from the end."""
    begin, end = _integer(first), _integer(last)
    begin = max(begin + length, 0) if begin < 0 else begin
    end = end + length if end < 0 else end
    return slice(begin, max(end + 1, 0))


# --- keys and texts ------------------------------------------------------------------------------


def _time(keys: Keyspace) -> Reply:
    seconds, milliseconds = divmod(keys.now, 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


def _set(keys: Keyspace, key: bytes, value: bytes, unit: bytes = b"", count: bytes = b"") -> Reply:
    duration = _integer(count) * {b"EX": 1000, b"PX": 1}[unit] if unit else None
    if duration is not None and duration <= 0:
        raise ErrorReply("ERR invalid expire time in 'set' command")
    keys.values[key] = value
    keys.expire(key, None if duration is None else keys.now + duration)
    return OK


def _get(keys: Keyspace, key: bytes) -> Reply:
    return keys.get(key, bytes)


def _incr(keys: Keyspace, key: bytes) -> Reply:
    before = keys.get(key, bytes)
    number = 1 if before is None else _integer(before) + 1
    keys.values[key] = b"%d" % number
    return number


def _exists(keys: Keyspace, *names: bytes) -> Reply:
    return sum(name in keys.values for name in names)


def _delete(keys: Keyspace, *names: bytes) -> Reply:
    return sum(map(keys.delete, names))


def _rename(keys: Keyspace, old: bytes, new: bytes) -> Reply:
    value, deadline = keys.values.get(old), keys.deadline(old)
    if value is None:
        raise ErrorReply("ERR no such key")
    keys.delete(old)
    keys.delete(new)
    keys.values[new] = value
    keys.expire(new, deadline)
    return OK


def _pexpire(keys: Keyspace, key: bytes, milliseconds: bytes) -> Reply:
    deadline = keys.now + _integer(milliseconds)
    if key not in keys.values:
        return 0
    keys.expire(key, deadline)
    return 1


def _pttl(keys: Keyspace, key: bytes) -> Reply:
    deadline = keys.deadline(key)
    if deadline is None:
        return -1 if key in keys.values else -2
    return deadline - keys.now


def _persist(keys: Keyspace, key: bytes) -> Reply:
    had_deadline = keys.deadline(key) is not None
    keys.expire(key, None)
    return int(had_deadline)


# --- hashes --------------------------------------------------------------------------------------


def _hset(keys: Keyspace, key: bytes, *pairs: bytes) -> Reply:
    fields = keys.made(key, dict)
    before = len(fields)
    fields.update(zip(pairs[::2], pairs[1::2], strict=True))
    return len(fields) - before


def _hsetnx(keys: Keyspace, key: bytes, name: bytes, value: bytes) -> Reply:
    fields = keys.made(key, dict)
    before = len(fields)
    fields.setdefault(name, value)
    return len(fields) - before


def _hincrby(keys: Keyspace, key: bytes, name: bytes, step: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    try:
        number = int(fields.get(name, b"0"))
    except ValueError:
        raise ErrorReply("ERR hash value is not an integer") from None
    number += _integer(step)
    keys.made(key, dict)[name] = b"%d" % number
    return number


def _hget(keys: Keyspace, key: bytes, name: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    return fields.get(name)


def _hmget(keys: Keyspace, key: bytes, *names: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    return list(map(fields.get, names))


def _hgetall(keys: Keyspace, key: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    return [word for field in fields.items() for word in field]


def _hvals(keys: Keyspace, key: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    return list(fields.values())


def _hdel(keys: Keyspace, key: bytes, *names: bytes) -> Reply:
    fields: Hash = keys.get(key, dict) or {}
    removed = sum(fields.pop(name, None) is not None for name in names)
    keys.delete_if_empty(key)
    return removed


# --- lists ---------------------------------------------------------------------------------------


def _rpush(keys: Keyspace, key: bytes, *elements: bytes) -> Reply:
    found: List = keys.made(key, list)
    found += elements
    return len(found)


def _llen(keys: Keyspace, key: bytes) -> Reply:
    return len(keys.get(key, list) or ())


def _lrange(keys: Keyspace, key: bytes, first: bytes, last: bytes) -> Reply:
    elements: List = keys.get(key, list) or []
    return elements[_stretch(first, last, len(elements))]


def _ltrim(keys: Keyspace, key: bytes, first: bytes, last: bytes) -> Reply:
    elements: List = keys.get(key, list) or []
    elements[:] = elements[_stretch(first, last, len(elements))]
    keys.delete_if_empty(key)
    return OK


# --- sorted sets ---------------------------------------------------------------------------------


def _zadd(keys: Keyspace, key: bytes, *pairs: bytes) -> Reply:
    scores = list(map(_score, pairs[::2]))
    return sum(map(keys.made(key, SortedSet).add, pairs[1::2], scores))


def _zrem(keys: Keyspace, key: bytes, *names: bytes) -> Reply:
    members = keys.get(key, SortedSet) or SortedSet()
    removed = sum(map(members.remove, names))
    keys.delete_if_empty(key)
    return removed


def _zscore(keys: Keyspace, key: bytes, name: bytes) -> Reply:
    members = keys.get(key, SortedSet) or SortedSet()
    found = members.scores.get(name)
    return None if found is None else decimal(found)


def _zcard(keys: Keyspace, key: bytes) -> Reply:
    return len(keys.get(key, SortedSet) or ())


_Entries = list[tuple[float, bytes]]


def _by_rank(*, backwards: bool) -> Command:
    def ranked(keys: Keyspace, key: bytes, first: bytes, last: bytes, *options: bytes) -> Reply:
        order = (keys.get(key, SortedSet) or SortedSet()).order
        chosen = _stretch(first, last, len(order))
        return _shown((order[::-1] if backwards else order)[chosen], b"WITHSCORES" in options)

    return ranked


def _by_score(*, backwards: bool) -> Command:
    def scored(keys: Keyspace, key: bytes, first: bytes, last: bytes, *options: bytes) -> Reply:
        low, high = map(_border, (last, first) if backwards else (first, last))
        entries = (keys.get(key, SortedSet) or SortedSet()).between(low, high)
        if backwards:
            entries.reverse()
        if b"LIMIT" in options:
            at = options.index(b"LIMIT")
            offset, count = _integer(options[at + 1]), _integer(options[at + 2])
            entries = entries[offset : offset + count]
        return _shown(entries, b"WITHSCORES" in options)

    return scored


def _border(word: bytes) -> tuple[float, bool]:
    """A score at an end of a range, and whether it is itself excluded."""
    return _score(word.removeprefix(b"(")), word.startswith(b"(")


def _shown(entries: _Entries, with_scores: bool) -> list[Reply]:
    if with_scores:
        return [word for at, member in entries for word in (member, decimal(at))]
    return [member for _, member in entries]


#: By their names.
COMMANDS: dict[bytes, Command] = {
    b"TIME": _time,
    b"SET": _set,
    b"GET": _get,
    b"INCR": _incr,
    b"EXISTS": _exists,
    b"DEL": _delete,
    b"UNLINK": _delete,
    b"RENAME": _rename,
    b"PEXPIRE": _pexpire,
    b"PTTL": _pttl,
    b"PERSIST": _persist,
    b"HSET": _hset,
    b"HSETNX": _hsetnx,
    b"HINCRBY": _hincrby,
    b"HGET": _hget,
    b"HMGET": _hmget,
    b"HGETALL": _hgetall,
    b"HVALS": _hvals,
    b"HDEL": _hdel,
    b"RPUSH": _rpush,
    b"LLEN": _llen,
    b"LRANGE": _lrange,
    b"LTRIM": _ltrim,
    b"ZADD": _zadd,
    b"ZREM": _zrem,
    b"ZSCORE": _zscore,
    b"ZCARD": _zcard,
    b"ZRANGE": _by_rank(backwards=False),
    b"ZREVRANGE": _by_rank(backwards=True),
    b"ZRANGEBYSCORE": _by_score(backwards=False),
    b"ZREVRANGEBYSCORE": _by_score(backwards=True),
}
