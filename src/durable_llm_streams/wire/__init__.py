"""One protocol each: values to bytes and back, no I/O."""
