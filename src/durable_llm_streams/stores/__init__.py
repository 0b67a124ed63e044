"""One database each."""
