"""Show a merge queue: what waits to land, in which order, and what each waits for.

Without ACTION: the queue of BRANCH, or every queue. ENTRY is an entry's name or the beginning of its id; hold and
resume without one concern the whole queue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("words", nargs=-1, metavar="[BRANCH] | eject ENTRY | hold [ENTRY] | resume [ENTRY]")
@click.option("--onto", metavar="BRANCH", help="Whose queue an action concerns, when there are several.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also what has landed or left.")
@click.option("--note", metavar="TEXT", default="", help="Why; kept in the queue's history.")
@json_option
def command(words: tuple[str, ...], **options: Any) -> int:
    from smithers_git.front import line
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    if words and words[0] in ("eject", "hold", "resume"):
        return line.act(project, words[0], words[1:], options)
    return line.show(project, words, options)
