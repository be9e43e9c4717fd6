"""Tell people what happened and was not told yet, as `[notify]` in the configuration says.

That goes by itself while runs work; this tells what was left behind, say after a power cut. --test sends a sample by
every way that is configured.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option("--test", is_flag=True, help="Send a sample by every way that is configured.")
@json_option
def command(test: bool, as_json: bool) -> int:
    from smithers_git.front import notify
    from smithers_git.service.project import Project

    return notify.tell(Project.open(Path.cwd()), test=test, as_json=as_json)
