"""Go on with a task's conversation yourself, in the agent's own interface, and hand it back.

The run is paused, and a live engine ends what runs and keeps it. Leave the agent, or type Ctrl-], to hand it back: what
was changed is kept in a frame, and the task goes on in the same conversation when you say so.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.command(help=__doc__)
@click.argument("run")
@click.argument("node")
@click.option("--resume/--no-resume", "resume", default=None, help="Let the run go on after it; asked otherwise.")
@click.option("--by", metavar="WHO", help="Who works; default: you, as git knows you.")
def command(run: str, node: str, resume: bool | None, by: str | None) -> int:
    from smithers_git.front import hijack
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    return hijack.hijack(project, runs.resolve(project, run), node, by, resume=resume)
