"""Agent profiles: what loads, and what is said of what does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smithers_git.core.profile import load_profile
from smithers_git.errors import ConfigError

AGENTS = Path(__file__).parents[2] / "agents"

FOUR_LINES = """
program = ["mycli"]
argv = ["--batch", "{prompt}"]
output.mode = "text"
success.exit = [0]
"""

JSONL = """
program = ["x"]
argv = ["{prompt}"]
[output]
mode = "jsonl"
answer = { where = { type = "end" }, path = "text" }
[success]
event = { type = "end" }
"""


@pytest.mark.parametrize("path", sorted(AGENTS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_profile_loads_under_the_name_of_its_file(path: Path):
    assert load_profile(path.read_text(), str(path)).name == path.stem


@pytest.mark.parametrize("name", ["claude", "codex", "script"])
def test_the_default_permission_is_never_the_full_one(name: str):
    profile = load_profile((AGENTS / f"{name}.toml").read_text(), f"{name}.toml")
    assert profile.permission is None or profile.permission.default == "edit"


def test_four_lines_serve_an_unknown_cli():
    profile = load_profile(FOUR_LINES, "agents/mycli.toml")
    assert profile.name == "mycli"
    assert profile.prompt[0].via == "argv"
    assert profile.prompt[0].max_bytes == 120_000
    assert profile.stop[0].signal == "TERM"


BROKEN = [
    ("program = [", "agents/x.toml: this is not TOML", "correct that line"),
    ('name = "y"' + FOUR_LINES, "agents/x.toml: name: not a key", "after its file"),
    (FOUR_LINES.replace('program = ["mycli"]', ""), "agents/x.toml: program: field required", "add `program = …`"),
    (FOUR_LINES + "[version]\nargv = []\nregex = 'v'\n", "agents/x.toml: version.tested: field required", "tested"),
    (FOUR_LINES + "[versoin]\n", "agents/x.toml: versoin: unknown key", "did you mean `version`?"),
    (FOUR_LINES + "zzzzzz = 1\n", "agents/x.toml: zzzzzz: unknown key", "remove it"),
    (FOUR_LINES + "[env]\npas = []\n", "agents/x.toml: env.pas: unknown key", "did you mean `pass`?"),
    (FOUR_LINES.replace('["mycli"]', "[]"), "agents/x.toml: program: ", ""),
    (JSONL.replace(', path = "text"', ""), "agents/x.toml: output.answer.path: field required (or regex)", ""),
    (JSONL.replace('answer = { where = { type = "end" }, path = "text" }', ""), "output.answer: field required", ""),
    (JSONL.replace('path = "text"', 'path = "a..b"'), "output.answer.path: a key is missing before the dot", ""),
    (JSONL.replace('path = "text"', 'path = "a[x]"'), "output.answer.path: [x] is neither", ""),
    (JSONL.replace('path = "text"', 'path = "a["'), "output.answer.path: cannot read '['", ""),
    (JSONL.replace('path = "text"', 'path = "a."'), "output.answer.path: a key is missing at the end", ""),
    (JSONL.replace('path = "text"', 'path = "a", regex = "("'), "output.answer.regex: ", ""),
    (JSONL.replace('{ type = "end" }, path = "text"', '{ "a." = 1 }, path = "text"'), "output.answer.where: ", ""),
    (JSONL.replace('event = { type = "end" }', ""), "agents/x.toml: success.event: field required in jsonl", ""),
    (FOUR_LINES.replace("success.exit = [0]", ""), "agents/x.toml: success.exit: field required in text", ""),
    (FOUR_LINES + "success.event = { a = 1 }\n", "agents/x.toml: success.event: text has no events", ""),
    (FOUR_LINES.replace("{prompt}", "{promt}"), "agents/x.toml: argv: {promt} is not known here", ""),
    (FOUR_LINES.replace("{prompt}", "{model}"), "agents/x.toml: argv: {model} is not known here", ""),
    (FOUR_LINES.replace('"{prompt}"', '"x"'), "agents/x.toml: argv: the word {prompt} is missing", ""),
    (FOUR_LINES + '[groups]\nmodel = ["-m", "{modle}"]\n', "groups.model: {modle} is not known here", ""),
    (FOUR_LINES + '[groups]\nresume = ["-r", "{session}"]\n', "session.scope: must be folder or moves", ""),
    (FOUR_LINES + '[session]\nscope = "moves"\n', "session.scope: must be folder or moves", ""),
    (FOUR_LINES + '[permission]\ndefault = "edit"\n', "agents/x.toml: permission.edit: field required", ""),
    (FOUR_LINES + '[permission]\ndefault = "full"\nfull = {}\n', "argv: the word {permission} is missing", ""),
    (FOUR_LINES + '[[prompt]]\nvia = "file"\n', "prompt[0].argv: one word must contain {prompt_file}", ""),
    (FOUR_LINES + '[[prompt]]\nvia = "stdin"\n[terminal]\n', 'prompt: via = "stdin" does not work on a terminal', ""),
    (FOUR_LINES + '[[stop]]\nsignal = "KILL"\n', "agents/x.toml: stop[0].signal: ", ""),
    (FOUR_LINES + '[[failure]]\nkind = "auth"\n', "failure[0].where: field required (or regex, or exit)", ""),
    (FOUR_LINES + '[[failure]]\nkind = "gate"\nexit = [1]\n', "agents/x.toml: failure[0].kind: ", ""),
    (FOUR_LINES + '[env.set]\nA = "{nope}"\n', "env.set: {nope} is not known here", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), BROKEN, ids=[row[1][:60] for row in BROKEN])
def test_a_broken_profile_is_refused_with_file_and_key(text: str, message: str, hint: str):
    with pytest.raises(ConfigError) as caught:
        load_profile(text, "agents/x.toml")
    assert message in caught.value.message
    assert caught.value.message.startswith("agents/x.toml: ")
    assert hint in caught.value.hint
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_several_mistakes_are_counted():
    with pytest.raises(ConfigError, match=r"\(and 1 more\)"):
        load_profile(FOUR_LINES + "aaaa = 1\nbbbb = 2\n", "agents/x.toml")


def test_a_profile_of_a_program_and_acp_alone_says_that_it_is_one():
    assert load_profile('program = ["x"]\ntransport = "acp"\n', "agents/x.toml").is_protocol_only
    assert not load_profile(FOUR_LINES + '[acp]\nargv = ["--acp"]\n', "agents/x.toml").is_protocol_only
    for text, said in (
        ('program = ["x"]\n[acp]\n', 'argv: field required, or say transport = "acp"'),
        ('program = ["x"]\n', "argv: field required"),
        ('program = ["x"]\ntransport = "acp"\n[acp]\nargv = ["{prompt}"]\n', "acp.argv: {prompt} is not known here"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            load_profile(text, "agents/x.toml")
