"""A first profile for an agent CLI that nobody has described: the plainest case, and what its help shows as comments.

Nothing that is only seen in a help text is switched on: a flag called `--json` does not say what it prints. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

_FLAG: Final = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")
_VERSION: Final = re.compile(r"(?<![\d.])(\d+)\.(\d+)(\.\d+)*")

_HEADLESS: Final = ("--print", "--non-interactive", "--headless", "-p", "--prompt", "--message", "--task", "--execute")
_TAKES_PROMPT: Final = ("--prompt", "--message", "--task", "--execute")
_FILE: Final = ("--prompt-file", "--message-file")
_SESSION: Final = ("--resume", "--session", "--conversation", "--session-id")
_UNASKED: Final = (
    "--yolo", "--yes-always", "--yes", "--auto-approve", "--full-auto", "--dangerously-skip-permissions",
    "--dangerously-allow-all", "--allow-all", "--force",
)  # fmt: skip
_JSON: Final = ("--output-format", "--json", "--format")

_HEAD: Final = """\
# How smithers drives {name}. Lines that begin with # do nothing; those that look like keys are suggestions.
# After every change: smithers agents test {name}

program = [{program}]

# The words after the program; {{prompt}} stands for the task, of at most 120 kB. It has to do the task without asking,
# print its answer, and end.
argv = ["{{prompt}}"]
"""
_OUTPUT: Final = """\
# The answer is all that it prints on standard output.
[output]
mode = "text"

# The exit codes of a turn that went well. An empty answer is a failure in any case.
[success]
exit = [0]
"""
_JSON_OUTPUT: Final = """\
# Its help shows {flag}. If it prints one JSON object a line, with these names or others, then that flag belongs into
# argv, and in place of the two tables above:
#
# [output]
# mode = "jsonl"
# answer = {{ where = {{ type = "result" }}, path = "result" }}
# session = {{ path = "session_id" }}
# error = {{ where = {{ type = "error" }}, path = "message" }}
#
# [output.usage]
# input = {{ where = {{ type = "result" }}, path = "usage.input_tokens" }}
# output = {{ where = {{ type = "result" }}, path = "usage.output_tokens" }}
# input_includes_cached = true
#
# [success]
# event = {{ type = "result" }}
"""
_REST: Final = """\
# What it says when there is too much of it, and when nobody is logged in. The first is waited for; the second takes it
# out of the run.
[[failure]]
kind = "limit"
regex = '(?i)\\b429\\b|rate.?limit|usage limit|too many requests|RESOURCE_EXHAUSTED'

[[failure]]
kind = "auth"
regex = '(?i)\\b401\\b|unauthorized|not logged in|invalid api key'

# Variables of yours that it may see, besides PATH, HOME and their kind: its key, say.
# [env]
# pass = ["ITS_API_KEY"]

# Seconds of silence after which it is ended.
# [watchdog]
# idle = 1800
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a profile, and what was seen in the CLI's own words."""

    text: str
    version: str
    """Empty when it did not say one."""
    seen: tuple[str, ...]
    """Flags that the comments suggest to use."""


def draft(name: str, program: str, printed: str, help_text: str) -> Draft:
    """A profile for the CLI `name`.

    Args:
        name: of the agent.
        program: name or path of its program.
        printed: what it printed for `--version`; empty when it did not take that.
        help_text: what it printed for `--help`; empty when it did not take that.
    """
    flags = frozenset(match[1] for match in _FLAG.finditer(help_text))
    seen, suggested = _suggested(flags)
    format_flag = _first(flags, _JSON)
    version, table = _version(printed)
    parts = [
        _HEAD.format(name=name, program=json.dumps(program, ensure_ascii=False)),
        suggested,
        table,
        _OUTPUT,
        _JSON_OUTPUT.format(flag=format_flag) if format_flag else "",
        _REST,
    ]
    return Draft("\n".join(filter(None, parts)), version, (*seen, *filter(None, [format_flag])))


def _first(flags: frozenset[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in flags), None)


def _suggested(flags: frozenset[str]) -> tuple[list[str], str]:
    """The flags that may replace the plain argv, and comments that show how."""
    headless, unasked, model = (_first(flags, names) for names in (_HEADLESS, _UNASKED, ("--model",)))
    session, file = _first(flags, _SESSION), _first(flags, _FILE)
    seen = [flag for flag in (headless, unasked, model, session, file) if flag]
    if not seen:
        return [], ""
    groups = {"{permission}": unasked, "{model}": model, "{resume}": session}
    words = [word for word, flag in groups.items() if flag]
    if headless in _TAKES_PROMPT:
        words.append(headless)
    elif headless:
        words.insert(0, headless)
    lines = [
        f"# Its help shows {', '.join(seen)}. If they mean what they mean elsewhere, in place of the line above:",
        f"# argv = {json.dumps([*words, '{prompt}'])}",
    ]
    if model:
        lines.append(f'# groups.model = ["{model}", "{{model}}"]')
    if session:
        lines.append(f'# groups.resume = ["{session}", "{{session}}"]')
        lines.append('# session.scope = "folder"  # a conversation goes on where it began; "moves": anywhere')
    if unasked:
        lines.append(f'# permission = {{ default = "full", full = {{ argv = ["{unasked}"] }} }}')
    if file:
        lines.append(f'# prompt = [{{ via = "file", argv = ["{file}", "{{prompt_file}}"] }}]  # of any length')
    return seen, "\n".join([*lines, ""])


def _version(printed: str) -> tuple[str, str]:
    """The version, and the table that asks for it; both empty when there is none to be seen."""
    match = _VERSION.search(printed)
    if match is None:
        return "", ""
    major, minor = int(match[1]), int(match[2])
    lines = [
        "# Outside the range that was tried, `smithers agents` says so.",
        "[version]",
        'argv = ["--version"]',
        r"regex = '(?<![\d.])(\d+\.\d+(?:\.\d+)*)'",
        f'tested = ">={major}.{minor},<{major}.{minor + 1}"',
        "",
    ]
    return match[0], "\n".join(lines)
