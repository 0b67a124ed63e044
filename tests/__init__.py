"""Assertions in helpers say what was there, as those in tests do: pytest rewrites them, too."""

import sys
from pathlib import Path

if "pytest" in sys.modules:
    import pytest

    pytest.register_assert_rewrite(
        *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.iterdir())
    )
