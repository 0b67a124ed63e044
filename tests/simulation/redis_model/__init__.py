"""A model of a Redis server, the way to it, and the product's store over both."""

from __future__ import annotations

from .client import ModelClient, model_store
from .keyspace import State
from .network import Fault, ModelNetwork
from .server import ModelRedis

__all__ = ["Fault", "ModelClient", "ModelNetwork", "ModelRedis", "State", "model_store"]
