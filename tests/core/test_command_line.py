"""From a profile and the values of a turn to the words that are run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.command_line import Turn, build, build_acp, may_resume, programs, version_note
from smithers_git.core.profile import Profile, load_profile
from smithers_git.errors import AgentError

AGENTS = Path(__file__).parents[2] / "agents"

MANY_WAYS = """
program = ["many"]
argv = ["{prompt}", "--in={cwd}"]
prompt = [
    { via = "argv", argv = ["-p", "{prompt}"], max_bytes = 10 },
    { via = "stdin", argv = ["-"], max_bytes = 20 },
    { via = "file", argv = ["--file", "{prompt_file}"] },
]
env = { set = { ALWAYS = "{cwd}", CHOSEN = "{model}" } }
output.mode = "text"
success.exit = [0]
"""


def shipped(name: str) -> Profile:
    return load_profile((AGENTS / f"{name}.toml").read_text(), f"agents/{name}.toml")


def turn(prompt: str = "hi", **values: object) -> Turn:
    return Turn(program="/bin/cli", prompt=prompt, cwd="/repo", scratch="/scratch", **values)  # type: ignore[arg-type]


def test_claude_starts_a_conversation():
    run = build(shipped("claude"), turn("Fix it.", model="opus", new_session="U", extra=("--effort", "high")))
    assert run.argv[:6] == ("/bin/cli", "-p", "--output-format", "stream-json", "--verbose", "--permission-mode")
    assert run.argv[6] == "acceptEdits"
    assert run.argv[-6:] == ("--model", "opus", "--session-id", "U", "--effort", "high")
    assert run.stdin == b"Fix it."
    assert "Fix it." not in run.argv


def test_claude_goes_on_with_a_conversation_and_does_not_choose_another_id():
    run = build(shipped("claude"), turn(session="S", new_session="U"))
    assert run.argv[-2:] == ("--resume", "S")
    assert "U" not in run.argv


def test_codex_resumes_with_a_subcommand_before_the_options():
    run = build(shipped("codex"), turn("Fix it.", session="S", permission="full"))
    assert run.argv == (
        "/bin/cli", "exec", "resume", "S", "--json", "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox", "-",
    )  # fmt: skip


def test_groups_without_a_value_vanish():
    run = build(shipped("codex"), turn())
    assert run.argv == (
        "/bin/cli", "exec", "--json", "--skip-git-repo-check", "-c", "sandbox_mode=workspace-write", "-",
    )  # fmt: skip


def test_the_script_agent_is_our_own_python():
    profile = shipped("script")
    assert programs(profile, "/usr/bin/python3") == ["/usr/bin/python3"]
    run = build(profile, turn(python="/usr/bin/python3", player="/lib/player.py", session="S"))
    assert run.argv[1:] == ("-I", "-S", "/lib/player.py", "--resume", "S")


@pytest.mark.parametrize(
    ("prompt", "words", "stdin", "file"),
    [
        ("ten bytes!", ("-p", "ten bytes!"), None, None),
        ("ümläut bytes", ("-",), "ümläut bytes".encode(), None),
        ("ü" * 6, ("-",), ("ü" * 6).encode(), None),
        ("x" * 21, ("--file", "/scratch/prompt.md"), None, ("prompt.md", "x" * 21)),
    ],
    ids=["argv", "stdin", "bytes, not characters", "file"],
)
def test_the_first_delivery_that_fits_takes_the_prompt(prompt, words, stdin, file):
    run = build(load_profile(MANY_WAYS, "many.toml"), turn(prompt))
    assert run.argv == ("/bin/cli", *words, "--in=/repo")
    assert run.stdin == stdin
    assert run.prompt_file == file


def test_a_prompt_that_looks_like_an_option_does_not_stand_first_in_its_argument():
    run = build(load_profile(MANY_WAYS, "many.toml"), turn("--help"))
    assert run.argv[2] == "\n--help"


def test_a_nul_cannot_travel_by_argv():
    assert build(load_profile(MANY_WAYS, "many.toml"), turn("a\0b")).stdin == b"a\0b"


def test_a_prompt_that_no_delivery_takes_is_refused():
    only_argv = 'program = ["x"]\nargv = ["{prompt}"]\noutput.mode = "text"\nsuccess.exit = [0]\n'
    with pytest.raises(AgentError, match=r"300,000 bytes is too long for x"):
        build(load_profile(only_argv, "x.toml"), turn("x" * 300_000))


def test_environment_entries_vanish_with_their_value():
    profile = load_profile(MANY_WAYS, "many.toml")
    assert build(profile, turn()).env_set == {"ALWAYS": "/repo"}
    assert build(profile, turn(model="m")).env_set == {"ALWAYS": "/repo", "CHOSEN": "m"}


def test_braces_in_a_value_are_not_filled_in_again():
    run = build(load_profile(MANY_WAYS, "many.toml"), turn("{cwd}"))
    assert run.argv[2] == "{cwd}"


def test_a_permission_level_that_the_cli_does_not_have_is_refused():
    text = MANY_WAYS.replace('"{prompt}",', '"{permission}", "{prompt}",', 1)
    profile = load_profile(text + '[permission]\ndefault = "full"\nfull = { argv = ["-y"] }\n', "many.toml")
    assert "-y" in build(profile, turn()).argv
    with pytest.raises(AgentError, match="no permission level 'read'") as caught:
        build(profile, turn(permission="read"))
    assert "full" in caught.value.hint
    with pytest.raises(AgentError, match="no permission levels"):
        build(load_profile(MANY_WAYS, "many.toml"), turn(permission="full"))


def test_a_conversation_goes_on_only_where_the_cli_can():
    with pytest.raises(AgentError, match="cannot go on with a conversation"):
        build(load_profile(MANY_WAYS, "many.toml"), turn(session="S"))
    assert may_resume(shipped("claude"), "/a", "/b")
    sticks = MANY_WAYS.replace('argv = ["{prompt}",', 'argv = ["{resume}", "{prompt}",', 1) + (
        '[groups]\nresume = ["-r", "{session}"]\n[session]\nscope = "folder"\n'
    )
    assert may_resume(load_profile(sticks, "s.toml"), "/a", "/a")
    assert not may_resume(load_profile(sticks, "s.toml"), "/a", "/b")
    assert not may_resume(load_profile(MANY_WAYS, "many.toml"), "/a", "/a")


@pytest.mark.parametrize(
    ("printed", "note"),
    [
        ("2.1.329 (Claude Code)\n", ""),
        ("2.2.0 (Claude Code)", "claude 2.2.0 is outside the tested range >=2.1,<2.2"),
        ("2.0.9 (Claude Code)", "claude 2.0.9 is outside the tested range >=2.1,<2.2"),
        ("hello", "claude did not say its version"),
    ],
)
def test_a_version_outside_the_tested_range_is_noted(printed: str, note: str):
    assert version_note(shipped("claude"), printed) == note


@given(st.text(), st.sampled_from(["claude", "codex", "script"]))
def test_any_prompt_reaches_the_shipped_agents_by_standard_input(prompt: str, name: str):
    run = build(shipped(name), turn(prompt, python="p", player="q"))
    assert run.stdin == prompt.encode("utf-8", "replace")


ACP = """
program = ["x"]
transport = "acp"
env = { set = { KEPT = "1", LEVEL = "none" } }
groups = { model = ["-m", "{model}"] }
permission = { default = "edit", edit = { argv = ["--edit"], env = { LEVEL = "edit", OWN = "level" } } }
[acp]
argv = ["serve", "{permission}", "{model}", "--in={cwd}", "{extra}"]
env = { OWN = "acp" }
"""


def test_the_command_for_a_conversation_over_the_agent_client_protocol():
    profile = load_profile(ACP, "x.toml")
    turn = Turn("x", "Do it.", "/w", "/s", model="m", session="s", permission="edit", extra=("-v",))
    call = build_acp(profile, turn)
    assert call.argv == ("x", "serve", "--edit", "-m", "m", "--in=/w", "-v")
    assert call.env_set == {"KEPT": "1", "LEVEL": "edit", "OWN": "acp"}
    assert (call.stdin, call.prompt_file) == (None, None)
    bare = load_profile('program = ["x"]\ntransport = "acp"\n', "x.toml")
    assert build_acp(bare, turn).argv == ("x", "-v")
    # A level that the CLI does not have is kept by our answers: nothing that would widen it is put in its place.
    assert build_acp(profile, replace(turn, permission="read", model=None)).argv == ("x", "serve", "--in=/w", "-v")
    with pytest.raises(AgentError, match=r"claude has no \[acp\]"):
        build_acp(shipped("claude"), turn)
