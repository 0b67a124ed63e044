"""Jobs: answers that a provider keeps while it makes them."""
