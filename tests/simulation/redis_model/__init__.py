"""A model of a Redis server, the way to it, and the product's store over both."""

from __future__ import annotations

from .faults import Fault, Happens, Use, delay, error, lose_reply, lose_request, refuse, stall
from .keyspace import State
from .network import ModelNetwork
from .server import ModelRedis
from .store import model_store, open_model_store

__all__ = [
    "Fault",
    "Happens",
    "ModelNetwork",
    "ModelRedis",
    "State",
    "Use",
    "delay",
    "error",
    "lose_reply",
    "lose_request",
    "model_store",
    "open_model_store",
    "refuse",
    "stall",
]
