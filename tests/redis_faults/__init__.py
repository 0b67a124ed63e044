"""What must not be lost, doubled or mixed up, whatever is killed, frozen or cut: real processes.

`fleet` starts servers over one store, `reader` is a client that always comes back, and `oracle`
knows what each of them may have been told.
"""

from __future__ import annotations

from pathlib import Path

import pytest

for module in Path(__file__).parent.glob("*.py"):
    if module.stem != "__init__" and not module.stem.startswith("test_"):
        pytest.register_assert_rewrite(f"{__name__}.{module.stem}")
