"""The rung `continue`: a model is asked in words to go on, and the start of its new text is judged.

Theory of operation
===================
1. The partial answer is the assistant's turn. The user's turn after it asks to go on, and to begin
   by repeating the last words: the repetition shows where the new text joins.
2. The new text is judged before any of it is written: after `MAX_HELD` characters or `MAX_WAIT`
   seconds at the latest. A text that only repeats the partial answer may be buffered for longer,
   because readers have it already.
3. `joins`: the text goes on. An overlap with the end of the partial answer is dropped, and so is a
   preamble ("Sure, continuing:") before it.
4. `anew`: the text repeats the beginning of the partial answer. It is a whole new answer: the step
   is reset, and this stream is the restart.
5. `unfit`: an apology, or a text that may be either. Text must never be lost or shown twice, so in
   doubt the answer begins again with a new request.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from durable_llm_streams.source import Turn

from .preambles import (
    after_separator,
    answer_starts,
    begins_sentence,
    is_about_itself,
    without_preamble,
)

Mode = Literal["on", "prose", "off"]

MAX_HELD: Final = 300  # characters
MAX_WAIT: Final = 3.0  # seconds
MIN_SAID: Final = 20  # characters; a shorter answer is cheaper to restart

_QUOTED = 60  # characters of the partial answer that the request quotes
_WINDOW = 4000  # characters at the end of the partial answer in which a repetition is searched
_MIN_ANEW = MIN_SAID  # characters; fewer may be a coincidence
_MIN_OVERLAP = 12
_MIN_OVERLAP_IN_WORD = 18  # of one that begins inside a word
_MIN_WORDS_OVERLAP = 5
_ALIKE_WORDS = 3
_LONG_OVERLAP = 80  # long enough to count as a repetition, even if the answer has it twice

_MARKS = ' \t\r\n"“”„«»…'
_CLOSING = {'"': '"', "“": "”", "„": "“", "«": "»"}  # marks around a quotation

_ENDS = ".!?,;:"


class Judged(Struct, frozen=True):
    """How a continuation begins.

    Attributes:
        verdict: see the rules above.
        text: the part of the buffered text that is to be written.
        held: how many characters were buffered.
    """

    verdict: Literal["joins", "anew", "unfit"]
    text: str
    held: int

    @property
    def dropped(self) -> int:
        """How many of these characters are dropped."""
        return self.held - len(self.text)


def may_continue(said: str, mode: Mode) -> bool:
    """Whether a partial answer can be continued in words.

    Args:
        said: the text of the partial answer.
        mode: `on`, `prose` (not inside code, nor JSON) or `off`.
    """
    text = said.strip()
    if mode == "off" or len(text) < MIN_SAID:
        return False
    return mode == "on" or not (text.count("```") % 2 or text[0] in "{[")


def request(said: str) -> tuple[Turn, Turn]:
    """The last two turns of the request.

    Args:
        said: the text of the partial answer. White space at its end is left out.
    """
    begun = said.rstrip()
    return Turn("assistant", begun), Turn(
        "user",
        "Your answer was cut off by a technical fault. Please continue: go on exactly where it "
        "stops. Write only what is missing, as the direct continuation of that text. Start by "
        f"repeating its last words:\n\n{_last_words(begun)}\n\nDo not begin again, do not "
        "summarize, and do not comment on this.",
    )


def _last_words(text: str) -> str:
    end = text[-_QUOTED:]
    begin = end.find(" ", 0, _QUOTED // 3) if len(end) < len(text) else -1
    return end[begin + 1 :]


class Opening:
    """The beginning of a continuation while it is buffered.

    Args:
        said: the text of the partial answer, as readers have it.
    """

    def __init__(self, said: str) -> None:
        self._begun = said.rstrip()
        self._space = said[len(self._begun) :]
        self._beginning = self._begun.lstrip()
        self._end = self._begun[-_WINDOW:]
        self._held = ""
        self._is_late = False

    def add(self, text: str) -> Judged | None:
        """Add the next piece. Returns the judgement, or None if more text is needed."""
        self._held += text
        return self._judge()

    def time_is_up(self) -> Judged | None:
        """Judge after `MAX_WAIT` seconds. None while the model only repeats the partial answer."""
        self._is_late = True
        return self._judge() if self._held else None

    def end(self) -> Judged:
        """Judge at the end of the continuation: the buffered text is all of it."""
        held = self._held
        return self._evidence(last=True) or (
            self._unfit() if self._repeats_beginning() else self._without_evidence(held)
        )

    def _judge(self) -> Judged | None:
        judged = self._evidence(last=False)
        if judged is not None:
            return judged
        if len(self._held) < MAX_HELD and not self._is_late:
            return None
        if self._repeats_beginning() or self._repeats_end():
            return None
        return self._without_evidence(self._held)

    # --- a repetition of the partial answer --------------------------------------------------

    def _evidence(self, *, last: bool) -> Judged | None:
        for start, is_preamble in answer_starts(self._held[:MAX_HELD]):
            text = after_separator(self._held[start:]) if start else self._held
            judged = self._anew(text, last=last) or self._overlap(text, last=last)
            if judged is not None:
                return judged if is_preamble else self._unfit()
        return None

    def _anew(self, text: str, *, last: bool) -> Judged | None:
        bare = text.lstrip()
        same = _common(bare, self._beginning)
        if same < _MIN_ANEW:
            return None
        if same == len(bare) < min(MAX_HELD, len(self._beginning)) and not last:
            return None
        if self._beginning.find(bare[:same], 1) >= 0:
            return self._unfit()
        return Judged("anew", text if text == self._held else bare, len(self._held))

    def _overlap(self, text: str, *, last: bool) -> Judged | None:
        bare = text.lstrip(_MARKS)
        repeated = bare[: _overlap(self._end, bare)]
        rest = bare[len(repeated) :]
        if not _is_significant(repeated) or (self._space.startswith(rest) and not last):
            return None
        lead = text[: len(text) - len(bare)]
        marks = lead.strip()
        if marks and not self._before(repeated).endswith(marks):
            rest = rest.removeprefix(_CLOSING.get(marks[-1], "\0"))
        if "\n" in lead or not self._is_end(repeated, rest):
            return self._unfit()  # it may be a line that occurs twice in the answer
        return self._joins(rest)

    def _is_end(self, repeated: str, rest: str) -> bool:
        """Whether a repetition can only be of the end of the partial answer."""
        has_other_end = bool(self._space and rest) and rest[0] != self._space[0]
        is_long = len(repeated) >= _MIN_OVERLAP_IN_WORD or self._is_at_word(repeated)
        return is_long and not has_other_end and self._is_unique(repeated)

    def _is_at_word(self, repeated: str) -> bool:
        return not (self._before(repeated)[-1:].isalnum() and repeated[:1].isalnum())

    def _before(self, repeated: str) -> str:
        return self._begun[: len(self._begun) - len(repeated)]

    def _is_unique(self, repeated: str) -> bool:
        is_only_at_end = self._begun.find(repeated) == len(self._begun) - len(repeated)
        return is_only_at_end or len(repeated) >= _LONG_OVERLAP

    def _repeats_end(self) -> bool:
        text = self._held.lstrip(_MARKS)
        return bool(text) and text in self._end

    def _repeats_beginning(self) -> bool:
        text = self._held.lstrip()
        return len(text) >= _MIN_WORDS_OVERLAP and self._beginning.startswith(text)

    # --- no repetition, or a short one -------------------------------------------------------

    def _without_evidence(self, text: str) -> Judged:
        rest = without_preamble(text)
        if is_about_itself(rest) or self._begins_alike(rest):
            return self._unfit()
        if self._is_new_sentence(rest):
            return self._unfit()
        return self._last_words(rest) or self._joins(rest)

    def _is_new_sentence(self, text: str) -> bool:
        """Whether a sentence or block begins without the white space of a continuation."""
        if not begins_sentence(text):
            return False
        before = self._begun[-1:]
        return bool(self._space) or before.islower() or before.isdigit() or before in _ENDS

    def _begins_alike(self, text: str) -> bool:
        """Whether it seems to begin anew with the same words."""
        text = text.lstrip()
        return text[: _common(text, self._beginning)].count(" ") >= _ALIKE_WORDS

    def _last_words(self, text: str) -> Judged | None:
        """A judgement where both texts share the last word or line, or a few words."""
        bare = text.lstrip()
        repeated = bare[: _overlap(self._end, bare)]
        before = self._before(repeated)
        is_line = not before.rpartition("\n")[2].strip()
        has_words = any(map(str.isalnum, repeated))
        if not repeated or before[-1:].strip() or not (is_line or has_words):
            return None
        cannot_follow = not self._space and bare == text and self._begun[-1].isalnum()
        is_long = has_words and len(repeated) >= _MIN_WORDS_OVERLAP
        if is_long and (is_line or cannot_follow) and self._is_end(repeated, bare[len(repeated) :]):
            return self._joins(bare[len(repeated) :])
        is_word_again = bool(self._space) and bare == text and has_words
        if is_line or cannot_follow or is_word_again or (is_long and " " in repeated):
            return self._unfit()
        return None

    def _joins(self, text: str) -> Judged:
        for mark in self._space:  # the model did not receive it, so it may write it again
            if not text.startswith(mark):
                break
            text = text[1:]
        return Judged("joins", text, len(self._held))

    def _unfit(self) -> Judged:
        return Judged("unfit", "", len(self._held))


def _is_significant(repeated: str) -> bool:
    """Whether a repetition of this text is hardly a coincidence."""
    return len(repeated) >= _MIN_OVERLAP and len("".join(repeated.split())) >= _MIN_OVERLAP // 2


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    return next(index for index in range(length) if one[index] != other[index])


def _overlap(end: str, text: str) -> int:
    """The length of the longest beginning of `text` that `end` ends with."""
    seed = text[:_MIN_OVERLAP]
    at = end.find(seed, max(0, len(end) - len(text))) if seed else -1
    while at >= 0:
        if text.startswith(end[at:]):
            return len(end) - at
        at = end.find(seed, at + 1)
    for length in range(min(len(end), len(text), _MIN_OVERLAP), 0, -1):
        if end.endswith(text[:length]):
            return length
    return 0
