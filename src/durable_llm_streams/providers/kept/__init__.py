"""Answers that a provider keeps while it makes them."""
