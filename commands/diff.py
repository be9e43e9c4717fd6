"""Show what a run changed, what one node changed, or how two frames differ.

\b
  smithers diff RUN          the files of its main workspace since the start
  smithers diff RUN NODE     what the last attempt of a node did; for an approval, what it asks about
  smithers diff RUN A..B     files of every workspace, outputs and node states of two frames

Without RUN the newest run is meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.argument("what", required=False, metavar="[NODE | A..B]")
@click.option("--stat", is_flag=True, help="Only names and numbers of lines.")
@click.option("--space", metavar="NAME", help="Another workspace than main.")
@json_option
def command(run: str | None, what: str | None, **options: Any) -> None:
    from smithers_git.front import compare
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    if run is not None and what is None and ".." in run:
        run, what = None, run
    compare.show(project, runs.named(project, run), what, options)
