"""Invariants of owners and their chats: the feed, foreign chats, versions of messages."""

from __future__ import annotations

from collections.abc import Iterator

from .evidence import Evidence
from .owner_evidence import FeedEvent, FeedReading, Trespass
from .violation import Violation


def feeds_bring_every_change(evidence: Evidence) -> Iterator[Violation]:
    """A subscriber receives every change of its owner's chats, in order and in time, and no other.

    What happened before it listed the chats last is in that list.
    """
    for feed in evidence.feeds:
        if feed.error is not None:
            yield feed.error
            continue
        yield from _order(feed)
        for event in feed.events:
            if (owner := evidence.owners.get(event.chat, feed.owner)) != feed.owner:
                what = f"{feed.who} of {feed.owner} got {event.data} about a chat of {owner}"
                yield Violation("owned", what)
        if feed.listed is not None and not evidence.lost_tails:
            yield from _missing(feed, evidence, feed.listed)


def _order(feed: FeedReading) -> Iterator[Violation]:
    last: dict[str, list[int]] = {}
    ended: dict[str, FeedEvent] = {}
    for event in feed.events:
        # LIFE.NUMBER, or LIFE.TIME.NUMBER_TOKEN-...: the last change in each partition
        life, *_, marks = event.position.split(".")
        now = [int(mark.partition("_")[0]) for mark in marks.split("-")]
        before = last.get(life)
        if before is not None and (
            now == before or any(b > n for b, n in zip(before, now, strict=True))
        ):
            what = f"{feed.who} got {event.position} behind the changes {before}"
            yield Violation("feed", what)
        last[life] = now
        run_id = event.data.get("run")
        if run_id in ended:
            what = f"{feed.who} got {event.data['type']} of run {run_id[-4:]} after its end"
            yield Violation("feed", what)
        if event.data["type"] == "run-ended":
            ended[event.data["run"]] = event


def _missing(feed: FeedReading, evidence: Evidence, listed: float) -> Iterator[Violation]:
    came = {(event.kind, event.chat, event.about): event for event in feed.events}
    for change in evidence.changes:
        if change.owner != feed.owner or change.began < listed:
            continue
        event = came.get((change.kind, change.chat, change.about))
        what = f"{change.kind} of {change.chat} ({change.about}), acknowledged at {change.at:.3f} s"
        is_erased = change.kind != "chat-deleted" and change.chat in evidence.deleted
        if event is None and is_erased:
            continue  # the deletion removes what happened before it
        if event is None:
            yield Violation("feed", f"{feed.who} never got {what}")
            continue
        waited = evidence.waited(max(change.at, event.since), event.came)
        if waited > evidence.patience:
            yield Violation("feed", f"{feed.who} got {what}, {waited:.1f} s late")


def feeds_agree_with_the_list(evidence: Evidence) -> Iterator[Violation]:
    """At the end the chats that a subscriber shows are those that the list has."""
    for feed in evidence.feeds:
        there = evidence.lists.get(feed.owner)
        if there is None or feed.listed is None or feed.error is not None:
            continue
        shown = feed.rows
        for chat in sorted(shown.keys() | there.keys()):
            if shown.get(chat) != there.get(chat):
                what = f"{feed.who} shows {shown.get(chat)}, the list has {there.get(chat)}"
                yield Violation("feed", what)


def chats_belong_to_their_owner(evidence: Evidence) -> Iterator[Violation]:
    """Another owner's chat is answered as one that does not exist; a list has no foreign chat."""
    for trespass in evidence.trespasses:
        if trespass.status not in trespass.allowed:
            yield Violation("owned", _intruded(trespass))
    for owner, rows in evidence.lists.items():
        for chat in rows:
            if evidence.owners.get(chat, owner) != owner:
                what = f"the list of {owner} has the chat {chat} of {evidence.owners[chat]}"
                yield Violation("owned", what)


def _intruded(trespass: Trespass) -> str:
    wanted = " or ".join(map(str, sorted(trespass.allowed)))
    return f"{trespass.who} got HTTP {trespass.status}, expected {wanted}: {trespass.body!r}"


def versions_stay(evidence: Evidence) -> Iterator[Violation]:
    """A message that was accepted keeps its text and its place; an edit stands beside it."""
    if evidence.lost_tails:
        return
    for sent in evidence.sent:
        if sent.chat in evidence.deleted:
            continue
        tree = evidence.trees.get(sent.chat, {})
        node = tree.get(sent.id)
        if node is None:
            what = f"{sent.id} of chat {sent.chat} was accepted and is not in {sorted(tree)}"
            yield Violation("versions", what)
            continue
        if node.text is not None and node.text != sent.text:
            what = f"{sent.id} of chat {sent.chat} says {node.text!r}, sent was {sent.text!r}"
            yield Violation("versions", what)
        old = tree.get(sent.edited or "")
        if old is not None and node.parent != old.parent:
            what = f"{sent.id} follows {node.parent}, the message that it edits {old.parent}"
            yield Violation("versions", f"in chat {sent.chat}, {what}")


def answers_have_their_place(evidence: Evidence) -> Iterator[Violation]:
    """Every answer stands behind the message that it answers."""
    for answer in evidence.answers.values():
        run = answer.run
        if run.chat_id in evidence.trees:
            node = evidence.trees[run.chat_id].get(run.message_id)
            if node is None or node.parent != run.prompt_id:
                what = f"the answer {run.message_id} to {run.prompt_id} of chat {run.chat_id}"
                yield Violation("versions", f"{what} stands at {node}")
