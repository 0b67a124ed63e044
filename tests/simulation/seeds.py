"""Seed files: failing histories that are kept, to run them again."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

VERSION: Final = 1

#: Where those are that once failed; every test run repeats them.
KNOWN = Path(__file__).parent / "seeds"


class DamagedSeedFile(ValueError):
    """A file that is no seed file. The text says what to do."""


class SeedFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A history to run again.

    Attributes:
        version: of this format.
        seed, store: what it is drawn from.
        only: what shall happen; None for all that the seed draws.
        broke: which promise it broke when it was found, and how.
    """

    version: Literal[1]
    seed: int
    store: Literal["sqlite", "redis"]
    only: list[str] | None = None
    broke: str = ""

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, path: Path) -> SeedFile:
        """Read one."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise DamagedSeedFile(
                f"The seed file {path} cannot be read ({error.strerror}). Name one that is there."
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedSeedFile(
                f"{path} is no seed file, or a damaged one ({error}). Find the history again by "
                "its seed: make hunt ARGS='--seed NUMBER --store sqlite' (or redis)."
            ) from error
