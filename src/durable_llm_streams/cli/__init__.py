"""The command line: opens the store and the provider, and starts things."""

from .main import main

__all__ = ["main"]
