"""The plan of an existing run as its newest frame has it, for those who look and do not drive."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers_git.core.plan import Plan
from smithers_git.errors import ContentError, SmithersError, UsageError, WorkflowError
from smithers_git.service import source
from smithers_git.service.frames import Chain, source_files
from smithers_git.service.project import Project
from smithers_git.service.render import Renderer


@dataclass(frozen=True, slots=True)
class Preview:
    """What a resume would work with."""

    plan: Plan | None = None
    changed: list[str] = field(default_factory=list)
    """How the workflow's files differ from the ones pinned at the start; a resume refuses these."""
    trouble: SmithersError | None = None
    """Why there is no plan: the workflow cannot be loaded or rendered, or does not take this input any more."""


def preview(project: Project, chain: Chain) -> Preview:
    """Load and render the workflow of a run as a resume would; what is wrong with it is part of the answer."""
    assert chain.tip is not None
    files = source_files(project.objects, project.objects.read_commit(chain.tip).tree)
    changed: list[str] = []
    try:
        loaded = project.source(chain.run, chain.state, files)
        changed = source.changes(loaded, files)
        return Preview(Renderer(loaded, chain).plan(), changed)
    except (WorkflowError, ContentError, UsageError) as error:
        return Preview(None, changed, error)
