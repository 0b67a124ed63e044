"""Measurements of this package, as ratios. `python -m bench`; see README.md here."""
