"""List what waits for a person over all runs, oldest first, with the command that answers it.

Approvals, questions of workflows, and questions of running agents. The exit code is 0, whether something waits or not.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@json_option
def command(as_json: bool) -> None:
    from smithers_git.front import inbox
    from smithers_git.service.project import Project

    inbox.show(Project.open(Path.cwd()), as_json=as_json)
