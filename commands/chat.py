"""Show what agents said in a run, and what commands printed.

Without NODE, every attempt of an agent; with it every attempt of that node, commands too. Known secrets were taken out
before anything was stored.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.argument("node", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on while the run goes on.")
@click.option("--raw", is_flag=True, help="As the program wrote it.")
@json_option
def command(run: str | None, node: str | None, follow: bool, raw: bool, as_json: bool) -> int:
    from smithers_git.edge import output
    from smithers_git.front import logs
    from smithers_git.front.chat import Chat
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    logs.refuse_json(as_json=as_json, follow=follow)
    project = Project.open(Path.cwd())
    chat = Chat(project, runs.named(project, run), node, raw=raw)
    if follow:
        return chat.follow()
    if as_json:
        output.document(chat.document())
    else:
        chat.show()
    return 0
