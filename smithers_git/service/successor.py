"""The run that another one continues as: its frame 0 is written before the last frame of the old one.

Whoever is killed in between leaves an old run that is not over. Its next engine comes here again with the same id,
which the old run's frames hold, and finds what there is.
"""

from __future__ import annotations

from contextlib import suppress

import smithers_git
from smithers_git.core import events as ev
from smithers_git.core.flow_nodes import ContinueAsNew
from smithers_git.core.state import State
from smithers_git.errors import RefMoved, UsageError, WorkflowError
from smithers_git.names import MAIN
from smithers_git.service import budget
from smithers_git.service.frames import Chain, source_files
from smithers_git.service.project import Project
from smithers_git.service.render import Renderer


def begin(project: Project, chain: Chain, renderer: Renderer, run: str) -> None:
    """Begin the run `run`, as which that of `chain` goes on, unless that was done.

    Raises WorkflowError when the new input does not fit the workflow, or another run has this id.
    """
    if project.tip(run) is None:
        with suppress(RefMoved):  # another process was quicker: it began the same run, or one that is refused below
            _draft(project, chain, renderer, run).commit()
    found = project.chain(run).state
    if found.predecessor != chain.run:
        raise WorkflowError(f"there is already a run {run!r}", hint="rename that run's ref, then resume this one")


def _draft(project: Project, chain: Chain, renderer: Renderer, run: str) -> Chain:
    state, source = chain.state, renderer.source
    item = next(item for item in renderer.plan().items.values() if isinstance(item.node, ContinueAsNew))
    try:
        given = source.workflow.accept(_input(chain, run)).model_dump(mode="json")
    except UsageError as error:
        raise WorkflowError(f"{item.node.where}: {error.message}", hint=error.hint) from error
    created = ev.RunCreated(
        run=run,
        workflow=state.workflow,
        entry=state.entry,
        input=given,
        base=_base(state),
        branch=state.branch,
        max_concurrency=state.max_concurrency,
        check=state.check,
        version=smithers_git.__version__,
        predecessor=chain.run,
        caller=state.caller,
        caller_node=state.caller_node,
    )
    new, now = project.new_chain(run), project.clock.now()
    limit = budget.left(state) or budget.for_new_run(project, source.workflow.budget, None)
    for event in (created, limit):
        if event is not None:
            new.add(event, now)
    assert chain.tip is not None
    for path, data in source_files(project.objects, project.objects.read_commit(chain.tip).tree).items():
        new.put(f"source/{path}", data)
    return new


def _input(chain: Chain, run: str) -> dict[str, object]:
    node = next(node for node in chain.state.nodes.values() if node.successor == run and node.output is not None)
    value = chain.load(str(node.output))
    if not isinstance(value, dict):
        raise UsageError(f"the new input is no object: {value!r}", hint="give a model or a mapping as input=")
    return value


def _base(state: State) -> str:
    """The files as the run left them in its own workspace."""
    main = state.spaces.get(MAIN)
    return main.commit if main is not None else state.base
