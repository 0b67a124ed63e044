"""The oracle: what must hold of every history, whatever collected the evidence.

`evidence` is what is known, `invariants` judges it, and `reader` is the client of all rigs.
"""
