"""Requests to providers: addresses, headers, bodies, connections."""
