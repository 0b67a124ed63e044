"""`python -m durable_llm_streams` is `dls`."""

from .cli import main

main()
