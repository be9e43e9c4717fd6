"""What a node that waits for something outside does next. Pure, like the scheduler that asks here."""

from __future__ import annotations

import json
import shlex
from typing import Any

from pydantic import TypeAdapter, ValidationError

from smithers_git.core import codec
from smithers_git.core import wait_events as ev
from smithers_git.core.nodes import Task
from smithers_git.core.parts import SignalState
from smithers_git.core.state import State
from smithers_git.core.wait_nodes import HumanTask, Signal, Timer, WaitNode
from smithers_git.core.workflow import first_issue
from smithers_git.names import TaskKey

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def begin(node: WaitNode, key: TaskKey, now: float) -> ev.WaitStarted:
    """The event with which the run comes to wait at `node`. Of a question the engine fills in the text."""
    where = {"node": key.node, "iteration": key.iteration, "continued": node.continue_on_fail}
    if isinstance(node, Signal):
        words = [node.name, *(["--correlation", node.correlation] if node.correlation else [])]
        until = None if node.timeout is None else now + node.timeout
        own: dict[str, Any] = {"kind": "signal", "title": shlex.join(words), "until": until}
        own |= {
            "name": node.name,
            "correlation": node.correlation,
            "on_expiry": node.on_timeout,
            "answer": _schema(node),
        }
    elif isinstance(node, HumanTask):
        until = None if node.expires is None else now + node.expires
        own = {"kind": "question", "title": node.title or node.id, "allowed": list(node.allowed), "until": until}
        own |= {"on_expiry": node.on_expiry, "on_cancel": node.on_cancel, "answer": _schema(node)}
    else:
        assert isinstance(node, Timer)
        own = {"kind": "timer", "title": node.id, "until": node.due(now)}
    return ev.WaitStarted.model_validate({**where, **own})


def _schema(node: Task) -> dict[str, Any] | None:
    return None if node.output is None else node.output.model_json_schema()


def asked(event: ev.WaitStarted, node: HumanTask, text: str) -> ev.WaitStarted:
    """The question with the text that the person reads."""
    prompt = readable(text)
    first = next((line.strip() for line in prompt.splitlines() if line.strip()), node.id)
    return event.model_copy(update={"prompt": prompt, "title": readable(node.title or first)[:200]})


def readable(text: str) -> str:
    """`text` without what a terminal would obey: a question may come from an agent, or from another repository."""
    lines = ("".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip()


Next = ev.WaitResolved | ev.WaitEnded | ev.SignalRefused


def go_on(node: WaitNode, key: TaskKey, state: State, now: float) -> Next | None:
    """What happens now to an open wait; None while it goes on."""
    wait = state.open_waits[key]
    signal = state.matched().get(key)
    if signal is not None and (wait.until is None or signal.at <= wait.until):
        return _take(node, key, state, signal)
    if wait.until is None or wait.until > now:
        return None
    if isinstance(node, Timer):
        fired = {"due": wait.until, "fired": now}
        return resolve(node, key, state, fired, by="clock")
    return ev.WaitEnded(node=key.node, iteration=key.iteration, reason="expired")


def _take(node: WaitNode, key: TaskKey, state: State, signal: SignalState) -> ev.WaitResolved | ev.SignalRefused:
    try:
        return resolve(node, key, state, signal.data, by=signal.by).model_copy(update={"signal": signal.id})
    except ValidationError as error:
        return ev.SignalRefused(id=signal.id, name=signal.name, issue=first_issue(error))


def resolve(node: Task, key: TaskKey, state: State, value: Any, by: str) -> ev.WaitResolved:
    """The end of a wait with `value`; raises ValidationError when that does not fit the node's model."""
    path = state.node(key).output or codec.output_path(state.outputs, key)
    whole = fit(node, value)
    return ev.WaitResolved(node=key.node, iteration=key.iteration, by=by, output=path).holding(whole)


def fit(node: Task, value: Any) -> Any:
    """`value` as the node's model has it, as JSON; raises ValidationError, ValueError for what JSON cannot hold."""
    if node.output is None:
        return _ANY.dump_python(value, mode="json")
    # Through text, so that a strict model judges JSON (a date is a string there), not Python objects.
    return node.output.model_validate_json(json.dumps(value, allow_nan=False)).model_dump(mode="json")


def issues(error: ValidationError) -> list[str]:
    """`field: what is wrong` for each issue."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [": ".join([*([".".join(map(str, one["loc"]))] if one["loc"] else []), one["msg"]]) for one in found]
