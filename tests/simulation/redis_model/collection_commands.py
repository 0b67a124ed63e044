"""Commands on hashes and lists, each as Redis defines it."""

from __future__ import annotations

from .command import Command, Words, reading, writing, wrong_arity
from .keyspace import Keyspace
from .values import OK, Hash, Reply, integer, positions, stretch, summed

_NOT_AN_INTEGER = b"ERR hash value is not an integer"


# --- hashes --------------------------------------------------------------------------------------


def _hash_to_write(keys: Keyspace, key: bytes) -> Hash:
    fields = keys.hash(key)
    if fields is None:
        fields = {}
        keys.set(key, fields)
    return fields


def _hset(keys: Keyspace, words: Words) -> Reply:
    if len(words) % 2:
        raise wrong_arity(words[0])
    fields = _hash_to_write(keys, words[1])
    before = len(fields)
    fields.update(zip(words[2::2], words[3::2], strict=True))
    return len(fields) - before


def _hsetnx(keys: Keyspace, words: Words) -> Reply:
    fields = _hash_to_write(keys, words[1])
    if words[2] in fields:
        return 0
    fields[words[2]] = words[3]
    return 1


def _hincrby(keys: Keyspace, words: Words) -> Reply:
    step = integer(words[3])
    fields = keys.hash(words[1])
    before = None if fields is None else fields.get(words[2])
    number = summed(0 if before is None else integer(before, _NOT_AN_INTEGER), step)
    _hash_to_write(keys, words[1])[words[2]] = b"%d" % number
    return number


def _hget(keys: Keyspace, words: Words) -> Reply:
    fields = keys.hash(words[1])
    return None if fields is None else fields.get(words[2])


def _hmget(keys: Keyspace, words: Words) -> Reply:
    fields = keys.hash(words[1]) or {}
    return list(map(fields.get, words[2:]))


def _hgetall(keys: Keyspace, words: Words) -> Reply:
    fields = keys.hash(words[1]) or {}
    return [word for field in fields.items() for word in field]


def _hvals(keys: Keyspace, words: Words) -> Reply:
    return list((keys.hash(words[1]) or {}).values())


def _hdel(keys: Keyspace, words: Words) -> Reply:
    fields = keys.hash(words[1])
    if fields is None:
        return 0
    gone = sum(fields.pop(name, None) is not None for name in words[2:])
    if not fields:
        keys.delete(words[1])
    return gone


# --- lists ---------------------------------------------------------------------------------------


def _rpush(keys: Keyspace, words: Words) -> Reply:
    elements = keys.list(words[1])
    if elements is None:
        elements = []
        keys.set(words[1], elements)
    elements += words[2:]
    return len(elements)


def _llen(keys: Keyspace, words: Words) -> Reply:
    return len(keys.list(words[1]) or ())


def _lrange(keys: Keyspace, words: Words) -> Reply:
    where = positions(words)
    elements = keys.list(words[1]) or []
    return elements[stretch(where, len(elements))]


def _ltrim(keys: Keyspace, words: Words) -> Reply:
    where = positions(words)
    elements = keys.list(words[1])
    if elements is not None:
        elements[:] = elements[stretch(where, len(elements))]
        if not elements:
            keys.delete(words[1])
    return OK


#: By their names.
COLLECTIONS: dict[bytes, Command] = {
    b"HSET": writing(_hset, -4, grows=True),
    b"HSETNX": writing(_hsetnx, 4, grows=True),
    b"HINCRBY": writing(_hincrby, 4, grows=True),
    b"HGET": reading(_hget, 3),
    b"HMGET": reading(_hmget, -3),
    b"HGETALL": reading(_hgetall, 2),
    b"HVALS": reading(_hvals, 2),
    b"HDEL": writing(_hdel, -3),
    b"RPUSH": writing(_rpush, -3, grows=True),
    b"LLEN": reading(_llen, 2),
    b"LRANGE": reading(_lrange, 4),
    b"LTRIM": writing(_ltrim, 4),
}
