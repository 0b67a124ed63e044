"""How providers are asked: addresses, headers, bodies, connections."""
