"""The HTTP side: FastAPI routers, owners, problems, streams."""
