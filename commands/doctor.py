"""Look whether everything is well, and mend what smithers may mend.

Checks git, the repository's settings, the index, runs, locks, worktrees, left-over processes and agents. Without --fix
only the index is brought up to date. Exits with 1 when something needs you.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option("--fix", is_flag=True, help="Mend stale locks, lost worktrees, left-over processes and broken settings.")
@json_option
def command(fix: bool, as_json: bool) -> int:
    from smithers_git.front import upkeep

    return upkeep.doctor(Path.cwd(), fix=fix, as_json=as_json)
