"""How often people approved a node in a row, in earlier passes of a run and in earlier runs of its workflow."""

from __future__ import annotations

from typing import Final

from smithers_git.core.parts import ApprovalState
from smithers_git.core.state import State
from smithers_git.service import runs
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

_MOST_RUNS: Final = 200
"""Runs to look back at: each has to be read."""


def approved_in_a_row(project: Project, chain: Chain, node: str, enough: int) -> int:
    """Approvals of `node` by people since the last one that was none, `enough` at most.

    A denial ends the row, and so does a request that nobody answered in time. Automatic ones neither count nor end it.
    """
    state = chain.state
    runs.catch_up(project)
    rows = [row for row in project.index.runs() if row.workflow == state.workflow and row.run != chain.run]
    rows.sort(key=lambda row: row.updated, reverse=True)
    known = _decisions(state, node)
    for row in rows[:_MOST_RUNS]:
        # Nothing in this run, nor in those behind it, was decided after its last frame.
        found, over = _count(known, enough, row.updated)
        if over:
            return found
        known |= _decisions(project.chain(row.run).state, node)
    return _count(known, enough, 0.0)[0]


def _decisions(state: State, node: str) -> dict[tuple[float, int, str], ApprovalState]:
    """By time, iteration and person: a fork has the decisions of the run that it was forked from, too."""
    return {
        (asked.decided, key.iteration, asked.by or ""): asked
        for key, asked in state.approvals.items()
        if key.node == node and asked.decided is not None
    }


def _count(known: dict[tuple[float, int, str], ApprovalState], enough: int, since: float) -> tuple[int, bool]:
    """Approvals in a row among those at `since` or later, newest first; whether older ones cannot change it."""
    found = 0
    for moment, asked in sorted(known.items(), key=lambda one: one[0], reverse=True):
        if found >= enough:
            break
        if moment[0] < since:
            return found, False
        if asked.how == "auto":
            continue
        if asked.how == "expired" or not asked.approved:
            return found, True
        found += 1
    return found, found >= enough
