"""What providers answer: bytes in, events out. No I/O."""
