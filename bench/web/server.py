"""The product with the interface and scripted answers: `python -m bench.web.server`.

Started by `dls serve`, with the settings of the environment.
"""

from __future__ import annotations

from unittest.mock import patch

from durable_llm_streams.cli import serve
from durable_llm_streams.cli.provider import Provider
from durable_llm_streams.server import OfferedModel

from .source import MODEL, ScriptedSource


def main() -> None:
    """Serve until the process is killed."""
    made = Provider("the benchmark", ScriptedSource(), (OfferedModel(MODEL, "Benchmark"),))
    with patch.object(serve, "provider", lambda _: made):
        serve.serve()


if __name__ == "__main__":
    main()
