"""What a Redis keeps, what it replies, and how it reads and writes numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from operator import itemgetter

#: Integers of Redis are signed and have 64 bits.
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

_score_of_entry = itemgetter(0)


class ErrorReply(Exception):
    """An error as Redis words it: a code in capitals, then a sentence.

    Args:
        text: without the sign in front.
    """

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class Status(bytes):
    """A reply that is no value, such as `OK`."""

    __slots__ = ()


Reply = int | bytes | None | Sequence["Reply"]

OK = Status(b"OK")

WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
SYNTAX = b"ERR syntax error"
OVERFLOW = b"ERR increment or decrement would overflow"


class SortedSet:
    """Members by their scores; members of the same score by their bytes.

    Attributes:
        scores: each member's.
        order: (score, member), the lowest first.
    """

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, member: bytes, score: float) -> bool:
        """Give a member a score. Returns whether it is new."""
        before = self.scores.get(member)
        if before == score:
            return False
        if before is not None:
            del self.order[bisect_left(self.order, (before, member))]
        self.scores[member] = score
        insort(self.order, (score, member))
        return before is None

    def remove(self, member: bytes) -> bool:
        """Forget a member. Returns whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def between(
        self, low: tuple[float, bool], high: tuple[float, bool]
    ) -> list[tuple[float, bytes]]:
        """The entries from one score to another, the lowest first.

        Args:
            low, high: a score, and whether it is itself left out.
        """
        find_first = bisect_right if low[1] else bisect_left
        find_end = bisect_left if high[1] else bisect_right
        first = find_first(self.order, low[0], key=_score_of_entry)
        return self.order[first : find_end(self.order, high[0], key=_score_of_entry)]

    def copy(self) -> SortedSet:
        """Another one with the same members."""
        other = SortedSet()
        other.scores = self.scores.copy()
        other.order = self.order.copy()
        return other


Hash = dict[bytes, bytes]
List = list[bytes]
Value = bytes | Hash | List | SortedSet


def integer(word: bytes, error: bytes = NOT_AN_INTEGER) -> int:
    """A number as Redis reads it: no sign `+`, no space, no zero in front."""
    digits = word[1:] if word[:1] == b"-" else word
    if not digits.isdigit() or (digits[0] == 0x30 and word != b"0"):
        raise ErrorReply(error)
    number = int(word)
    if not _LEAST <= number <= _MOST:
        raise ErrorReply(error)
    return number


def summed(one: int, other: int) -> int:
    """The sum, if Redis can keep it."""
    total = one + other
    if not _LEAST <= total <= _MOST:
        raise ErrorReply(OVERFLOW)
    return total


def score(word: bytes, error: bytes = NOT_A_FLOAT) -> float:
    """A score as Redis reads it."""
    try:
        value = float(word)
    except ValueError:
        raise ErrorReply(error) from None
    if value != value or b"_" in word or word.strip() != word:
        raise ErrorReply(error)
    return value


def decimal(number: float) -> bytes:
    """A score, or a number of a script, as Redis writes it: `%.17g`."""
    if -1e17 < number < 1e17:
        whole = int(number)
        if whole == number:
            return b"%d" % whole
    return b"%.17g" % number


def positions(words: Sequence[bytes]) -> tuple[int, int]:
    """Where a stretch begins and ends, for `stretch`: the fourth word and the one before it."""
    return integer(words[2]), integer(words[3])


def stretch(where: tuple[int, int], length: int) -> slice:
    """Positions as Redis counts them: both are in it, negative ones count from the end."""
    first, last = where
    first = max(first + length, 0) if first < 0 else first
    last = last + length if last < 0 else last
    return slice(first, max(last + 1, 0))


def encoded(reply: Reply) -> bytes:
    """A reply as the protocol has it (RESP2)."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, Status):
        return b"+%b\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))


def encoded_error(text: bytes) -> bytes:
    """An error as the protocol has it."""
    return b"-%b\r\n" % text.replace(b"\r", b" ").replace(b"\n", b" ")
