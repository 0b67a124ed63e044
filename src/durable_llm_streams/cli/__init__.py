"""The command line: opens the store and the provider, and starts things."""
