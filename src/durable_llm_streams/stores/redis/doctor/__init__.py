"""What `dls doctor` and the start of a server check about a Redis."""
