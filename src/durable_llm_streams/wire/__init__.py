"""One protocol in each module: values to bytes and back, no I/O."""
