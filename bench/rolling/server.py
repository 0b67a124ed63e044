"""The product with that model: `python -m bench.rolling.server RATE MODEL...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from unittest.mock import patch

from durable_llm_streams.cli import serve
from durable_llm_streams.cli.provider import Provider
from durable_llm_streams.server import OfferedModel

from .source import RollingSource


def main(rate: float, names: Sequence[str]) -> None:
    """Serve until a signal comes."""
    offered = tuple(OfferedModel(name, name) for name in names)
    made = Provider("the benchmark", RollingSource(rate), offered)
    with patch.object(serve, "provider", lambda _: made):
        serve.serve()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
