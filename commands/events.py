"""List the events of a run, all of them or those of one node or type.

TYPE is a whole type (task.failed) or the part before the dot (task, run, loop, approval, space).
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.option("-n", "--node", metavar="NODE", help="Only of this node, NODE or NODE@ITERATION, or of this loop.")
@click.option("-t", "--type", "kind", metavar="TYPE", help="Only of this type.")
@json_option
def command(run: str | None, node: str | None, kind: str | None, as_json: bool) -> None:
    from smithers_git.front import history
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    history.events(project, runs.named(project, run), node, kind, as_json=as_json)
