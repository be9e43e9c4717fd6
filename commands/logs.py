"""Print what happened in a run as plain lines; -f goes on while it runs.

With -f it ends when the run is over, or when nothing happens any more before somebody acts, and its exit code says
which: 0 finished, 1 failed, 3 waits, 4 cancelled.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on while the run goes on; shows what agents say too.")
@json_option
def command(run: str | None, follow: bool, as_json: bool) -> int:
    from smithers_git.front import logs
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    logs.refuse_json(as_json=as_json, follow=follow)
    project = Project.open(Path.cwd())
    name = runs.named(project, run)
    if follow:
        return logs.follow(project, name)
    logs.show(project, name, as_json=as_json)
    return 0
