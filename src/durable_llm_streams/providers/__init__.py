"""One kind of model provider each."""
