"""Deliberate defects, planted one at a time, to see whether the tests would notice.

`make mutants`. A defect is a small, plausible slip of an engineer in the product. It must be caught
by the simulator or, where what it breaks cannot be seen there, by the tests that are named with it.
"""
