"""What the events of a run have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A fact that a frame holds. A new field has a default, so that older frames stay readable."""

    # Unknown keys are ignored so that an older program can read frames that a newer minor version wrote.
    model_config = ConfigDict(frozen=True, extra="ignore")


class NodeEvent(Record):
    """A fact about one node in one iteration."""

    node: str
    iteration: int = 0
