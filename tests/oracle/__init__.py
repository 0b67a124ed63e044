"""The oracle: what must hold of every history, however the evidence was collected.

`evidence` is what is known, `invariants` judges it, and `reader` is the client of all rigs.
"""
