"""Reading logs that another process writes, as they grow."""
