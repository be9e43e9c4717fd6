"""What is asked of a person, when it is asked anew, and what decides itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from smithers_git.core import events as ev
from smithers_git.core.nodes import Approval, NeedsApproval, seconds
from smithers_git.core.plan import Item, Plan, dependents
from smithers_git.core.state import ApprovalState, State
from smithers_git.names import MAIN, TaskKey


def request(plan: Plan, state: State, item: Item, key: TaskKey, now: float) -> ev.ApprovalRequested:
    """The question that `item` asks at `now` (Unix seconds); its summary is filled in by whoever records it."""
    node = item.node
    asks = node.needs_approval
    if not isinstance(asks, NeedsApproval):
        asks = NeedsApproval(asks if isinstance(asks, str) else "")
    own, expires = isinstance(node, Approval), seconds(asks.expires)
    return ev.ApprovalRequested(
        node=key.node,
        iteration=key.iteration,
        title=asks.title or f"start {node.label}",
        on_deny=asks.on_deny,
        commits=shown(plan, state, item),
        gate=not own,
        mode=node.mode if isinstance(node, Approval) else "approve",
        options=list(node.options) if isinstance(node, Approval) else [],
        allowed=list(asks.allowed),
        until=None if expires is None else now + expires,
        on_expiry=asks.on_expiry,
        auto_after=asks.auto_after,
    )


def shown(plan: Plan, state: State, item: Item) -> dict[str, str]:
    """Workspace to code commit: the files that a person decides about.

    Those of the workspace that it stands in, and of the others that it comes after: an approval in `main` comes after
    every one in which nothing can go on before it is decided, one in a worktree after those inside that worktree. What
    still changes beside it is not its matter, or it would be asked again at every step of the others.
    """
    inside = [space for space in state.spaces if space != item.space and _within(plan, space, item.space)]
    busy: set[str] = set()
    if inside:
        behind = dependents(plan, [item.node.id])
        busy = {
            other.space
            for id, other in plan.items.items()
            if id != item.node.id and id not in behind and not _over(state, other)
        }
    return {
        space: known.commit
        for space, known in state.spaces.items()
        if space == item.space or (space in inside and space not in busy)
    }


def _within(plan: Plan, space: str, around: str) -> bool:
    if around == MAIN:
        return True
    while space in plan.spaces:
        space = plan.spaces[space].parent
        if space == around:
            return True
    return False


def _over(state: State, item: Item) -> bool:
    key = TaskKey(item.node.id, state.loop(item.loops[-1]).iteration) if item.loops else item.node.key
    return key in state.done


def same(asked: ApprovalState, wanted: ev.ApprovalRequested, base: str) -> bool:
    """Whether what was asked is what would be asked now; a workspace that was not made yet had the files of `base`."""
    spaces = {**asked.commits, **wanted.commits}
    return (
        asked.title == wanted.title
        and all(asked.commits.get(space, base) == wanted.commits.get(space, base) for space in spaces)
        and asked.mode == wanted.mode
        and list(asked.options) == wanted.options
        and list(asked.allowed) == wanted.allowed
        and (asked.on_deny, asked.on_expiry) == (wanted.on_deny, wanted.on_expiry)
        and asked.auto_after == wanted.auto_after
        and (asked.until is None) == (wanted.until is None)
    )


def by_itself(asked: ApprovalState, key: TaskKey, now: float) -> ev.ApprovalDecided | None:
    """The decision that nobody has to make: it was approved often enough before, or its time is over."""
    if asked.auto_after is not None and asked.streak >= asked.auto_after:
        return ev.ApprovalDecided(
            node=key.node,
            iteration=key.iteration,
            approved=True,
            by="auto",
            how="auto",
            note=f"people approved it {asked.streak} times in a row",
        )
    if expired(asked, now):
        return ev.ApprovalDecided(
            node=key.node,
            iteration=key.iteration,
            approved=asked.on_expiry == "approve",
            by="clock",
            how="expired",
            note="nobody decided in time",
        )
    return None


def expired(asked: ApprovalState, now: float) -> bool:
    return asked.until is not None and asked.until <= now


def digest(key: TaskKey, asked: ApprovalState, trees: Mapping[str, str]) -> str:
    """What a person decides about, in 16 hex digits; `trees` has the tree of each workspace that is shown."""
    seen = {
        "node": str(key),
        "title": asked.title,
        "summary": asked.summary,
        "mode": asked.mode,
        "options": list(asked.options),
        "trees": dict(trees),
    }
    text = json.dumps(seen, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    return hashlib.sha256(text).hexdigest()[:16]
