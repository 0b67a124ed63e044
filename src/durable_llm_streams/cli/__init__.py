"""The command line: opens the store and the provider, and runs the commands."""

from .main import main

__all__ = ["main"]
