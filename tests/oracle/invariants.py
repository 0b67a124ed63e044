"""What must hold of every history, whatever its faults: each promise once.

An invariant is a pure function of the evidence. It returns nothing about what was not collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from . import answer_rules, owner_rules, reading_rules, writing_rules
from .evidence import Evidence
from .violation import Violation

Invariant = Callable[[Evidence], Iterator[Violation]]

INVARIANTS: Final[tuple[Invariant, ...]] = (
    reading_rules.readers_have_the_log,
    reading_rules.readers_come_to_the_end,
    writing_rules.claims_fence,
    writing_rules.every_record_has_its_writer,
    writing_rules.epochs_do_not_mix,
    writing_rules.stops_are_final,
    writing_rules.a_stop_has_its_own_epoch,
    writing_rules.duplicates_make_no_run,
    writing_rules.no_takeover_without_a_reason,
    answer_rules.one_end,
    answer_rules.history_is_the_fold,
    answer_rules.one_clean_answer,
    answer_rules.failures_are_honest,
    answer_rules.requests_have_reasons,
    answer_rules.tool_results_come_once,
    answer_rules.secrets_stay_secret,
    answer_rules.retention_is_kept,
    answer_rules.nothing_is_left,
    owner_rules.feeds_bring_every_change,
    owner_rules.feeds_agree_with_the_list,
    owner_rules.chats_belong_to_their_owner,
    owner_rules.versions_stay,
    owner_rules.answers_have_their_place,
)


def violations(evidence: Evidence) -> list[Violation]:
    found = [violation for invariant in INVARIANTS for violation in invariant(evidence)]
    return [*evidence.seen, *found]
