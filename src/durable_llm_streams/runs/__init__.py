"""Runs: claim, heartbeat, execute, take over, stop, hand over."""
