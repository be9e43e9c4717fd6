"""Remove worktrees that hold nothing of their own, fold runs that are over, prune old ones if asked.

A worktree goes only when its run is over and its files equal the run's last frame; one that differs stays, and is
named. Runs that ended a while ago are folded into one ref: they look and work as before. Runs are pruned only with
--prune-after or --keep-size, never one that waits, runs, or has a fork that stays. Frames are packed with deltas, which
your own `git gc` keeps and would not look for. --costs only shows what runs cost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--costs", is_flag=True, help="Only show what each run costs: disk, history, tokens, money.")
@click.option("--idle", is_flag=True, help="Worktrees of runs that wait, are paused or were interrupted too.")
@click.option("--set-aside", is_flag=True, help="Files set aside from worktrees too, when no frame holds them.")
@click.option("--fold-after", metavar="SPAN", default="7d", show_default=True, help="Fold runs that ended before that.")
@click.option("--prune-after", metavar="SPAN", help="Forget runs that ended before that, say 90d.")
@click.option("--keep-size", metavar="SIZE", help="Forget the oldest runs until all frames take less, say 2G.")
@json_option
def command(**options: Any) -> int:
    from smithers_git.front import gc
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    if options["costs"]:
        return gc.costs(project, as_json=options["as_json"])
    return gc.clear(project, gc.wanted(options), dry_run=options["dry_run"], as_json=options["as_json"])
