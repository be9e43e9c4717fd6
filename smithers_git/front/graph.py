"""What `smithers graph` draws: the plan as a tree. Nothing is executed and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from smithers_git.core.flow_nodes import ContinueAsNew, Subflow
from smithers_git.core.nodes import Approval, Branch, Loop, Node, Parallel, Task, Worktree
from smithers_git.core.plan import Plan
from smithers_git.core.state import State
from smithers_git.core.wait_nodes import WaitNode
from smithers_git.edge import output
from smithers_git.front import start
from smithers_git.front.look import STYLES
from smithers_git.names import TaskKey
from smithers_git.service import launch
from smithers_git.service.launch import Request
from smithers_git.service.perform import shown
from smithers_git.service.preview import preview
from smithers_git.service.project import Project


def of_workflow(project: Project, workflow: str, options: Mapping[str, Any]) -> None:
    """Draw the plan that a new run of `workflow` would begin with."""
    request = Request(workflow=workflow, input=start.given_input(options) or {}, cwd=Path.cwd())
    made = launch.draft(project, request)
    for text in made.notes:
        output.note(f"note: {text}")
    _print(made.created.workflow, made.plan, None, as_json=options["as_json"])


def of_run(project: Project, run: str, *, as_json: bool) -> None:
    """Draw the plan of a run as it stands, with how far each node is."""
    chain = project.chain(run)
    seen = preview(project, chain)
    if seen.trouble is not None:
        raise seen.trouble
    assert seen.plan is not None
    for line in seen.changed:
        output.note(f"note: the workflow was changed since the start: {line}")
    _print(f"run {run} of {chain.state.workflow}", seen.plan, chain.state, as_json=as_json)


def _print(name: str, plan: Plan, state: State | None, *, as_json: bool) -> None:
    if as_json:
        nodes = [_document(plan, id, state) for id in plan.items]
        output.document({"workflow": name, "plan": _tree(plan, plan.root, state), "nodes": nodes})
        return
    output.emit(output.paint(name, "bold"))
    rows = list(_rows(plan, plan.root, state, "", ""))
    width = min(max((len(head) for head, _text, _status in rows), default=0), 40)
    for head, text, status in rows:
        room = max(20, output.columns() - width - 2)
        mark = output.paint(f"{status:<10}", STYLES.get(status, "")) if state is not None else ""
        output.emit(f"{head:<{width}}  {mark}{output.clip(text, room - len(mark and status.ljust(10)))}".rstrip())
    if not plan.items:
        output.note("the plan is empty: nothing would be done")


def _rows(plan: Plan, node: Node, state: State | None, lead: str, below: str) -> Iterator[tuple[str, str, str]]:
    """(drawing and name, what it is, how far it is), top down."""
    if isinstance(node, Task | Approval):
        yield lead + node.id, ", ".join([_what(node), *_options(plan, node)]), _status(plan, node, state)
        return
    yield lead + _group(node), _about(node, state), ""
    for number, child in enumerate(node.children):
        last = number == len(node.children) - 1
        yield from _rows(plan, child, state, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _group(node: Node) -> str:
    if isinstance(node, Loop | Worktree):
        return f"{type(node).__name__} {node.id}"
    return type(node).__name__


def _about(node: Node, state: State | None) -> str:
    if isinstance(node, Loop):
        passes = state.loop(node.id).iteration - state.loop(node.id).base + 1 if state is not None else 0
        now = f"pass {passes} of" if passes else ""
        most = f"{now} at most {node.max_iterations} passes".strip()
        return f"{most}, then it {'fails' if node.on_max == 'fail' else 'goes on with the last'}"
    if isinstance(node, Parallel):
        return f"at most {node.max_concurrency} at once" if node.max_concurrency else ""
    if isinstance(node, Worktree):
        return f"branch {node.branch}" if node.branch else "files of its own"
    if isinstance(node, Branch):
        return f"the condition {'holds' if node.chosen else 'does not hold'} now"
    return ""


_AWAITED: Final = {"question": "an answer", "signal": "a signal", "timer": "a time"}


def _what(node: Task | Approval) -> str:
    if isinstance(node, Approval):
        return f"asks: {node.title}"
    model = f" -> {node.output.__name__}" if node.output else ""
    if node.agent:
        return f"agent {', '.join(node.agent)}{model}"
    if node.run is not None:
        return f"run {shown(node.run)}"
    if isinstance(node, WaitNode):
        return f"waits for {_AWAITED[node.kind]}{model}"
    if isinstance(node, Subflow):
        return f"runs {node.workflow}{model}"
    if isinstance(node, ContinueAsNew):
        return "goes on as a new run"
    if node.call is not None:
        return f"call {getattr(node.call, '__name__', node.call)}{model}"
    return f"value {node.value!r}"


def _options(plan: Plan, node: Task | Approval) -> list[str]:
    needs = plan.items[node.id].needs
    found = [f"needs {', '.join(needs)}"] if needs else []
    if isinstance(node, Approval):
        options = [f"{node.mode}: {', '.join(node.options)}"] if node.options else []
        allowed = list(node.needs_approval.allowed)
        return found + options + ([f"only {', '.join(allowed)}"] if allowed else [])
    return found + [
        text
        for text, there in (
            ("asks before it starts", bool(node.needs_approval)),
            (f"gates: {'; '.join(map(shown, node.gates))}", bool(node.gates)),
            ("skipped", node.skip_if),
            ("may fail", node.continue_on_fail),
            ("red is data", node.run is not None and not node.check),
            ("cached", node.cache),
            (f"timeout {node.timeout:g} s" if node.timeout else "", bool(node.timeout)),
        )
        if there
    ]


def _status(plan: Plan, node: Task | Approval, state: State | None) -> str:
    return state.node(_key(plan, node, state)).status if state is not None else ""


def _key(plan: Plan, node: Task | Approval, state: State) -> TaskKey:
    """The node in the pass that its loop is in."""
    loops = plan.items[node.id].loops
    return TaskKey(node.id, state.loop(loops[-1]).iteration if loops else 0)


def _tree(plan: Plan, node: Node, state: State | None) -> dict[str, Any]:
    if isinstance(node, Task | Approval):
        return {"kind": type(node).__name__, "id": node.id}
    own = {"id": node.id} if isinstance(node, Loop | Worktree) else {}
    about = {"about": text} if (text := _about(node, state)) else {}
    return {"kind": type(node).__name__, **own, **about, "children": [_tree(plan, c, state) for c in node.children]}


def _document(plan: Plan, id: str, state: State | None) -> dict[str, Any]:
    item = plan.items[id]
    node = item.node
    return {
        "node": id,
        "kind": node.kind if isinstance(node, Task) else "approval",
        "label": node.label,
        "what": _what(node),
        "needs": list(item.needs),
        "loops": list(item.loops),
        "workspace": item.space,
        "agents": list(node.agent) if isinstance(node, Task) else [],
        "where": node.where,
        "status": _status(plan, node, state) or None,
    }
