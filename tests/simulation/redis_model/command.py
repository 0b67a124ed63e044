"""What a command is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .keyspace import Keyspace
from .values import ErrorReply, Reply

Words = Sequence[bytes]
Run = Callable[[Keyspace, Words], Reply]


class Command(NamedTuple):
    """One command.

    Attributes:
        run: does it; the words begin with the command's name.
        arity: how many words it has; negative: at least so many.
        writes: whether it may change keys: that of its first word, unless `only_keys`.
        only_keys: whether all its words are keys.
        grows: whether it is refused when there is no memory left.
        scripted: whether scripts may use it.
        harmless: whether every script may use it at any time.
    """

    run: Run
    arity: int
    writes: bool = False
    only_keys: bool = False
    grows: bool = False
    scripted: bool = True
    harmless: bool = False

    def takes(self, count: int) -> bool:
        """Whether it can have so many words."""
        return count == self.arity or (self.arity < 0 and count >= -self.arity)


def reading(run: Run, arity: int) -> Command:
    """A command that changes nothing."""
    return Command(run, arity, harmless=True)


def writing(run: Run, arity: int, *, grows: bool = False, only_keys: bool = False) -> Command:
    """A command that changes keys."""
    return Command(run, arity, writes=True, only_keys=only_keys, grows=grows)


def wrong_arity(name: bytes) -> ErrorReply:
    """The error for a command with too few words or too many."""
    return ErrorReply(b"ERR wrong number of arguments for '%b' command" % name.lower())


def unknown_subcommand(words: Words) -> ErrorReply:
    """The error for a command with a second word that says nothing to Redis."""
    return ErrorReply(
        b"ERR unknown subcommand '%b'. Try %b HELP." % (words[1][:128], words[0].upper())
    )
