"""Look at old files of a run without touching anything.

PATH, a file or folder as the repository names it (default: everything), is written into a new folder as it was at
frame N, or printed. Nothing that exists is ever written to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.argument("path", default=".")
@click.option("--frame", "frame", type=click.IntRange(0), metavar="N", help="Which frame; default: the newest.")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="The new folder; default: RUN-frame-N.")
@click.option("--space", metavar="NAME", help="Another workspace than main.")
@click.option("--print", "show", is_flag=True, help="Print one file instead.")
@json_option
def command(run: str, path: str, **options: Any) -> None:
    from smithers_git.front import compare
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    compare.checkout(project, runs.resolve(project, run), path, options)
