"""The agents: one a stage. They are thin: an agent hands what comes to the pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

from agents.exits import describe, end_process
from agents.pipeline import Pipeline, Work


def declare(app: Any, pipeline: Pipeline) -> dict[str, Any]:
    """Declare an agent for every stage.

    Returns
    -------
    dict
        Filled as agents start: by stage name, the channel on which the agent waits.
    """
    channels: dict[str, Any] = {}
    for stage in pipeline.stages.values():
        # `acks=False`: offsets are committed in the ledger's transactions.
        topic = app.topic(*stage.inputs, key_type=bytes, value_type=bytes, acks=False)
        app.agent(topic, name=stage.name)(_agent(stage.name, pipeline, channels))
    return channels


def _agent(name: str, pipeline: Pipeline, channels: dict[str, Any]) -> Any:
    async def agent(stream: AsyncIterable[Work]) -> None:
        channels[name] = stream.channel  # type: ignore[attr-defined]  # Faust's streams have one
        try:
            async for work in stream:
                pipeline.feed(name, work)
        except Exception as error:  # noqa: BLE001 - Faust would swallow it and restart the agent
            end_process(f"agent {name}: {describe(error)}")

    agent.__name__ = name
    return agent
