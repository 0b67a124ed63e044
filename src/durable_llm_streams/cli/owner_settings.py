"""Settings: how much one owner may use, and all owners together."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

#: More than three centuries of seconds, and more than any bill: beyond it, databases overflow.
LARGEST = 1e10


class OwnerSettings(BaseSettings):
    """The settings that bound what owners use."""

    runs_per_owner: int | None = Field(
        None,
        ge=1,
        description="The most answers of one visitor that are written at once, by all processes "
        "together; more wait. Default: 500 if DLS_HOST is a loopback address, otherwise 10.",
    )
    waiting_per_owner: int | None = Field(
        None,
        ge=0,
        description="How many more messages of one visitor may wait; others get 429. Default: 5000 "
        "if DLS_HOST is a loopback address, otherwise 20.",
    )
    queue: int = Field(
        10_000,
        ge=0,
        description="How many messages of all visitors may wait for an answer; others get 503.",
    )
    new_visitors: int | None = Field(
        None,
        ge=0,
        description="How many new visitors may send from one address (IPv6: one /64) within an "
        "hour, for each process; others get 429. 0 is unlimited. Default: 0 if DLS_HOST is a "
        "loopback address, otherwise 60.",
    )
    messages_per_hour: int = Field(
        0, ge=0, description="The most messages of an owner in an hour; 0 is no limit."
    )
    tokens_per_day: int = Field(
        0,
        ge=0,
        description="The most tokens of an owner in a day, of questions and answers; 0 is no "
        "limit.",
    )
    cost_per_day: float = Field(
        0.0,
        ge=0,
        le=LARGEST,
        description="The most US dollars of an owner in a day, where the provider reports what an "
        "answer cost; 0 is no limit.",
    )
    budget_per_day: int = Field(
        0, ge=0, description="The most tokens of all owners together in a day; 0 is no limit."
    )
    streams_per_owner: int = Field(
        0,
        ge=0,
        description="The most streams that an owner has open at once in this process; 0 is no "
        "limit.",
    )
