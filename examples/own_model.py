"""Any model behind the durable chat: a source is an async generator.

Run it with `python examples/own_model.py`, then ask as the README shows.
"""

from collections.abc import AsyncGenerator

import uvicorn

from durable_llm_streams import (
    Finish,
    OfferedModel,
    Prompt,
    ReasoningDelta,
    ServerConfig,
    TextDelta,
    Worker,
    create_app,
    open_store,
)


class Parrot:
    """Repeats the question, word by word."""

    async def stream(
        self, prompt: Prompt
    ) -> AsyncGenerator[TextDelta | ReasoningDelta | Finish, None]:
        for word in prompt.turns[-1].text.split():
            yield TextDelta(f"{word} ")
        yield Finish(reason="stop", metadata={"model": "parrot"})

    def can_prefill(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        pass


def main() -> None:
    store = open_store("sqlite:///data/parrot.db")
    worker = Worker(store, Parrot(), name="parrot-1")
    config = ServerConfig(models=[OfferedModel("parrot", "Parrot")])
    uvicorn.run(create_app(store, worker, config), host="127.0.0.1", port=8000)


if __name__ == "__main__":
    main()
