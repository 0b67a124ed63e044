"""Programs for developers of this project; none of them is installed."""
