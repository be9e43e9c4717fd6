"""Serve this repository's runs to a coding agent, over the Model Context Protocol.

Without a verb: serve over standard input and output, as agents start such servers. What it offers: list and start
workflows, wait, inspect, approve and answer, diff, rewind, fork, land, read transcripts, tickets.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import client_options, json_option


class _Group(click.Group):
    """Serves when no verb is given: `smithers mcp --http 0` is `smithers mcp serve --http 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group, help=__doc__)
def command() -> None:
    pass


@command.command("serve")
@click.option("--http", "listen", metavar="[HOST:]PORT", help="Over streamable HTTP instead; 0 takes a free port.")
@click.option(
    "--repository", metavar="PATH", type=click.Path(path_type=Path), help="Which repository; default: around here."
)
@click.option("--read-only", "reads_only", is_flag=True, help="Offer only the tools that change nothing.")
@click.option("--expose", "exposed", is_flag=True, help="Let HOST be one that other machines reach; not encrypted.")
@json_option
def serve(listen: str | None, repository: Path | None, reads_only: bool, exposed: bool, as_json: bool) -> None:
    """Serve until the client goes; the runs that it started go on.

    With --http the URL and a token are printed, and every request must bring the token: Authorization: Bearer TOKEN.
    SMITHERS_MCP_TOKEN sets one. Only programs of this machine reach it, unless --expose is given.
    """
    from smithers_git.front import mcp
    from smithers_git.front.tools.call import Desk

    desk = Desk((repository or Path.cwd()).absolute(), reads_only, named=repository is not None)
    if listen is None:
        mcp.stdio(desk)
    else:
        mcp.http(desk, mcp.address(listen), exposed=exposed, as_json=as_json)


@command.command("add")
@client_options
def add(names: tuple[str, ...], project: bool, as_json: bool) -> int:
    """Tell each coding agent that is found here of this server, in its own configuration file.

    One entry is inserted; everything else in the file stays as it is. `smithers mcp remove` takes it out again.
    """
    from smithers_git.front import clients

    return clients.add_servers(clients.machine(Path.cwd(), project=project), names, as_json=as_json)


@command.command("remove")
@client_options
def remove(names: tuple[str, ...], project: bool, as_json: bool) -> int:
    """Take the server out of the configuration of each coding agent."""
    from smithers_git.front import clients

    return clients.remove_servers(clients.machine(Path.cwd(), project=project), names, as_json=as_json)
