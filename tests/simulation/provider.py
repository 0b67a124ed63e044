"""The model's provider: what the product's own provider code gets instead of an HTTP session.

The answer to a question is known beforehand, word by word, so that it can be seen whether one is
missing, doubled or foreign. The question itself says how long the answer is and how fast.
A model that is asked to continue does so from where the beginning ends.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.openai_responses import OpenAIResponses
from durable_llm_streams.providers.requests.prefill import PrefillTable

from .faults import Faults
from .loop import Process
from .provider_chats import REPEATS, KeptAnswer
from .provider_session import Session
from .saying import SECRET

#: Models by what they can.
RESTARTS: Final = "sim/restarts"
CONTINUES: Final = "sim/continues"
KEEPS: Final = "sim/keeps"
MODELS: Final = (RESTARTS, CONTINUES, REPEATS, KEEPS)

_PREFILL = PrefillTable.parse(f"none, {CONTINUES}, {REPEATS}=mistral")
_BACKGROUND = BackgroundModels.parse(KEEPS)


class Provider:
    """All requests to the provider, from any process.

    Attributes:
        requests: how often a model was asked each question.
        refused: the questions whose runs may give up early: refused for good, or silent twice.
        open: the answers that are being made now, by the process that they are made for.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.requests: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.open: dict[object, Process] = {}
        self.jobs: dict[str, KeptAnswer] = {}
        self._stalls: Counter[str] = Counter()

    def stalled(self, place: str) -> None:
        """An answer fell silent. The second time, its run may give up before its attempts are."""
        self._stalls[place] += 1
        if self._stalls[place] > 1:
            self.refused.add(place)

    def heard_by(self, process: Process) -> int:
        return sum(each is process for each in self.open.values())

    def source(self, process: Process) -> OpenAIResponses:
        """The product's source for a process, speaking to this provider."""
        source = OpenAIResponses(
            background=_BACKGROUND,
            base_url="http://provider/v1",
            api_key=SECRET,
            prefill=_PREFILL,
            dialect="generic",
        )
        source._session = Session(self, process)  # type: ignore[assignment]
        return source
