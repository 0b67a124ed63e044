"""The providers' answers: bytes in, events out. No I/O."""
