"""Following logs while other processes write them."""
