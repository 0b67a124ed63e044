"""Bytes from outside, made up by machine: whatever comes, a clear error or what it means.

Theory of operation
===================
1. A target (`targets`) is a function of bytes that raises nothing unless a promise is broken. The
   bytes are what comes from outside, so its corpus reads as what a peer would send.
2. Every `make test` sends the corpus and fresh examples of Hypothesis, among them damaged pieces
   of the corpus, through every target (`test_targets`).
3. `python -m tests.fuzz NAME --seconds N` lets atheris look for more, guided by the branches that
   an input reaches. What breaks a target goes into the corpus and stays there.
4. The application is also asked what its own OpenAPI document allows and excludes, and its answers
   are compared with it (`test_openapi`).
"""
