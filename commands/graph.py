"""Draw the plan of a workflow, or of a run as it stands; nothing is executed.

WORKFLOW is a pack (implement, plan, …) or a file, as for `smithers up`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("workflow", required=False)
@click.option("--run", metavar="RUN", help="The plan of this run, with how far each node is.")
@click.option("-i", "--input", "raw", metavar="JSON", help="The workflow's input; - reads standard input.")
@click.option("-p", "--prompt", metavar="TEXT", help="Short for --input '{\"prompt\": TEXT}'.")
@json_option
def command(workflow: str | None, run: str | None, **options: Any) -> None:
    from smithers_git.errors import UsageError
    from smithers_git.front import graph
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    if (workflow is None) == (run is None):
        raise UsageError("give a workflow, or --run RUN", hint="smithers graph implement -p 'add rate limiting'")
    project = Project.open(Path.cwd())
    if run is not None:
        graph.of_run(project, runs.resolve(project, run), as_json=options["as_json"])
    else:
        assert workflow is not None
        graph.of_workflow(project, workflow, options)
