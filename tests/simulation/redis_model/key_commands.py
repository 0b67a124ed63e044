"""Commands on keys, their times, and texts, each as Redis defines it."""

from __future__ import annotations

from collections.abc import Callable

from .command import Command, Words, reading, writing
from .keyspace import Keyspace
from .values import OK, SYNTAX, ErrorReply, Reply, SortedSet, Status, integer, summed

_NO_SUCH_KEY = b"ERR no such key"


def _bad_time(name: bytes) -> ErrorReply:
    return ErrorReply(b"ERR invalid expire time in '%b' command" % name.lower())


def _time(keys: Keyspace, words: Words) -> Reply:
    seconds, milliseconds = divmod(keys.now, 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


def _set(keys: Keyspace, words: Words) -> Reply:
    key, value, options = words[1], words[2], words[3:]
    if len(options) not in (0, 2):
        raise ErrorReply(SYNTAX)
    if not options:
        keys.set(key, value)
        keys.live_for_ever(key)
        return OK
    unit = {b"EX": 1000, b"PX": 1}.get(options[0].upper())
    if unit is None:
        raise ErrorReply(SYNTAX)
    duration = integer(options[1])
    if duration <= 0 or duration * unit + keys.now >= 1 << 63:
        raise _bad_time(words[0])
    keys.set(key, value)
    keys.live_until(key, keys.now + duration * unit)
    return OK


def _get(keys: Keyspace, words: Words) -> Reply:
    return keys.text(words[1])


def _incr(keys: Keyspace, words: Words) -> Reply:
    before = keys.text(words[1])
    number = summed(0 if before is None else integer(before), 1)
    keys.set(words[1], b"%d" % number)
    return number


def _exists(keys: Keyspace, words: Words) -> Reply:
    return sum(keys.get(key) is not None for key in words[1:])


def _delete(keys: Keyspace, words: Words) -> Reply:
    return sum(keys.delete(key) for key in words[1:])


def _rename(keys: Keyspace, words: Words) -> Reply:
    _, old, new = words
    value, deadline = keys.get(old), keys.deadline(old)
    if value is None:
        raise ErrorReply(_NO_SUCH_KEY)
    if old != new:
        keys.delete(old)
        keys.delete(new)
        keys.set(new, value)
        if deadline is not None:
            keys.live_until(new, deadline)
    return OK


def _type(keys: Keyspace, words: Words) -> Reply:
    value = keys.get(words[1])
    names = {bytes: b"string", dict: b"hash", list: b"list", SortedSet: b"zset"}
    return Status(b"none" if value is None else names[type(value)])


def _expires(unit: int, *, from_now: bool) -> Callable[[Keyspace, Words], Reply]:
    def expire(keys: Keyspace, words: Words) -> Reply:
        if len(words) > 3:
            raise ErrorReply(b"ERR Unsupported option %b" % words[3])
        deadline = integer(words[2]) * unit + (keys.now if from_now else 0)
        if abs(deadline) >= 1 << 63:
            raise _bad_time(words[0])
        if keys.get(words[1]) is None:
            return 0
        keys.live_until(words[1], deadline)
        return 1

    return expire


def _lives(unit: int) -> Callable[[Keyspace, Words], Reply]:
    def left(keys: Keyspace, words: Words) -> Reply:
        if keys.get(words[1]) is None:
            return -2
        deadline = keys.deadline(words[1])
        return -1 if deadline is None else (deadline - keys.now + unit // 2) // unit

    return left


def _persist(keys: Keyspace, words: Words) -> Reply:
    return int(keys.live_for_ever(words[1]))


#: By their names.
KEYS: dict[bytes, Command] = {
    b"TIME": reading(_time, 1),
    b"SET": writing(_set, -3, grows=True),
    b"GET": reading(_get, 2),
    b"INCR": writing(_incr, 2, grows=True),
    b"EXISTS": reading(_exists, -2),
    b"DEL": writing(_delete, -2, only_keys=True),
    b"UNLINK": writing(_delete, -2, only_keys=True),
    b"RENAME": writing(_rename, 3, only_keys=True),
    b"TYPE": reading(_type, 2),
    b"EXPIRE": writing(_expires(1000, from_now=True), -3),
    b"PEXPIRE": writing(_expires(1, from_now=True), -3),
    b"EXPIREAT": writing(_expires(1000, from_now=False), -3),
    b"PEXPIREAT": writing(_expires(1, from_now=False), -3),
    b"TTL": reading(_lives(1000), 2),
    b"PTTL": reading(_lives(1), 2),
    b"PERSIST": writing(_persist, 2),
}
