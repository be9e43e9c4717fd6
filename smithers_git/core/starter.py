"""The first `.smithers/config.toml` of a repository: every key with its meaning, what was found filled in. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

_HEAD: Final = """\
# How smithers works in this repository. Every key may be left out; a line that begins with # shows a default or an
# example. This file is yours: smithers init never changes it again.

# The command whose exit code says whether the project is well. `implement` and `debug` go on until it is 0.
"""

_POOLS: Final = """
# Which agents a task may use, best first: attempt n uses entry n, the last one repeats. A review is best done by
# another agent than the one that wrote. `smithers agents list` shows what there is.
[pools]
"""

_REST: Final = """
[run]
# Tasks in flight at once.
# max_concurrency = 4

# Settings of one agent: model, permission (read, edit, full), program, env, pass_env, args, transport (exec, acp), ask
# (true: what an acp agent may not do is asked of you).
# [agents.claude]
# model = "opus"

# Models without a CLI are called "sdk:PROVIDER/MODEL". Of the above they take permission, env and pass_env, and besides
# tools, max_requests and mcp, the names of servers. A table [agents."sdk:anthropic"] holds for all of a provider.
# [agents."sdk:anthropic/claude-sonnet-5-5"]
# max_requests = 200
# tools = ["read", "grep"]
# mcp = ["tickets"]
# [mcp.tickets]
# command = "uvx"                # or url = "https://…", with headers
# args = ["tickets-mcp"]

# Each run works in git worktrees of its own, outside this checkout. What they need besides the tracked files:
[worktree]
# copy = [".env"]                # files or globs that git ignores
# symlink = ["node_modules"]
# setup = "npm ci"               # runs once in each new worktree, before any token is spent
# teardown = ""
# root = "~/worktrees"

# Each worktree has a block of ports of its own; its processes find the first one in SMITHERS_PORT_BASE.
[ports]
# first = 20000
# block = 10
# count = 1000

# What keeps an agent that asks nobody away from everything but its workspace. A value that is a secret can be named
# in [agents.NAME.env]: KEY = { env = "NAME" }, { file = "~/key" } or { command = "pass show key" }.
[isolate]
# mode = "auto"                  # agents without permissions, or with full; "always", "never"
# network = "host"               # "none" cuts the model off too, unless it is on this machine's disk
# git = "read"                   # "write": the agent may commit
# read = ["~/.m2"]               # further paths that it finds
# write = []
# machine = false                # true: this whole machine is a sandbox (CI, a container)

[disk]
# floor = "1 GiB"                # no work is begun with less room; `smithers gc` makes some
# max_file = "50 MiB"            # no frame takes a larger file that a task wrote

# What may be spent: by one run, and by all runs of this repository since midnight. A run that gets there is parked.
[budget]
# run_usd = 5.0
# run_tokens = 500_000
# day_usd = 50.0
# day_tokens = 5_000_000
# soft = 0.8                     # from this part of a budget on nothing new starts

# How many agents this machine carries over all repositories is for your own file, ~/.config/smithers/config.toml:
# [admission]
# max_agents = 8                 # what memory carries when it is not given
# min_free_memory = "256 MiB"
# slots = { claude = 3 }

# When an agent that gets nowhere is ended, in seconds (0 is never). Then it is tried again, or the next of its chain.
[liveness]
# total = 14400                  # one attempt
# first_output = 120             # without a first word; what the agent's profile says when it is left out
# idle = 1800                    # silent; likewise
# repeats = 60                   # the same few things in a row, no file changed, for `repeating` seconds
# repeating = 120
# nothing_new = 3600             # it prints, and nothing of it is new
# retrying = 900                 # it only tells that it tries to reach its service again

# Who is told that a run needs a person, and of its end: needs_approval, question, parked, budget, failed, finished,
# landed. Each way can have a list of its own: command_events, desktop_events, webhook_events.
[notify]
# events = ["needs_approval", "question", "failed"]      # all of them when it is left out
# desktop = true
# command = "mail -s \"$SMITHERS_TEXT\" me"              # JSON on its input, SMITHERS_… variables
# webhook = "$SMITHERS_WEBHOOK"  # or https://…; the JSON is posted there

# How results come home: `smithers land`, and the merge queue inside a workflow.
[landing]
# style = "merge"                # or "rebase", "squash"
# branch = "smithers/integration"
# gates = ["make test"]          # green on the very tree that lands; the check when none is given

# What starts runs by itself: hooks of git (`smithers hooks install`) and schedules (`smithers cron add`). Nothing of it
# runs before you have said `smithers trust`, and again after it changed.
# [[trigger]]
# name = "look-again"
# on = "pre-push"                # post-commit, post-merge, post-checkout, pre-commit, commit-msg, cron
# branches = ["main"]
# workflow = "review"
# wait = true                    # the push waits for the verdict, timeout = 600 seconds at most
"""


def config(check: Sequence[str] | None, pools: Mapping[str, Sequence[str]]) -> str:
    """The text of the file.

    Args:
        check: the check command that was found; None when there is none.
        pools: role to agents that are installed; empty when none is.
    """
    line = f"check = {_text(shlex.join(check))}\n" if check else '# check = "make test"\n'
    rows = [f"{role} = [{', '.join(map(_text, agents))}]\n" for role, agents in pools.items()]
    if not rows:
        rows = ["# No agent was installed when this file was written.\n", '# smart = ["claude", "codex"]\n']
    return _HEAD + line + _POOLS + "".join(rows) + _REST


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of its."""
    return json.dumps(value, ensure_ascii=False)
