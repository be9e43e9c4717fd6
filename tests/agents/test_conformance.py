"""Every agent CLI that can be had, driven for real by its shipped profile against a scripted model on loopback.

A CLI needs `agents/NAME.toml` and `tests/agents/machines/NAME.py`. One that is not in the cache is skipped by name.
"""

from __future__ import annotations

import threading

import pytest
from agents.drive import PROFILES, Done, Driver
from agents.stub.steps import Step, drop, hang, refuse, run, say, write

from smithers_git.core.command_line import version_note
from smithers_git.core.events import Usage
from smithers_git.core.reply import Reply
from smithers_git.edge import process
from smithers_git.service.talk.state import session_files

NAMES = sorted(path.stem for path in PROFILES.glob("*.toml") if path.stem != "script")
pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", NAMES, indirect=True)]


def test_a_turn_edits_a_file_and_its_tokens_are_counted(cli: Driver):
    steps = (
        cli.write("calc.py", "x = 'ümläut'\n", input_tokens=1120, cached_tokens=20, output_tokens=30),
        cli.machine.answer('{"text": "dóne"}', input_tokens=1150, cached_tokens=100, output_tokens=40),
    )
    cli.stub.play(*steps)
    prompt = '-- Fix "it", $HOME and `x`:\nä'
    done = cli.turn(prompt)
    assert done.reply.error is None
    assert done.reply.answer.strip() == '{"text": "dóne"}'
    assert (cli.folder / "calc.py").read_text() == "x = 'ümläut'\n"
    assert cli.heard(prompt)
    if cli.machine.usage == "exact":
        assert done.reply.usage == cli.usage(*steps)
    elif cli.machine.usage == "rounded":
        assert isinstance(done.reply.usage, Usage)
        assert done.reply.usage.input == pytest.approx(cli.usage(*steps).input, rel=0.1)
    else:
        assert done.reply.usage is None


def test_a_conversation_goes_on_where_the_profile_says_so(cli: Driver):
    scope = cli.profile.session.scope
    if scope == "none":
        pytest.skip(f"{cli.profile.name} keeps no conversations")
    first_step = cli.machine.answer("I shall remember the word aubergine.")
    cli.stub.play(first_step)
    first = cli.turn("The word is XYZZY.")
    assert first.reply.error is None
    assert first.reply.session
    if cli.profile.state and cli.profile.state.sessions:
        assert session_files(cli.profile, cli.bench.environ, first.reply.session)
    folder = cli.folder
    if scope == "moves":
        folder = cli.bench.driver().folder
    steps = (
        cli.write("calc.py", "x = 1\n", folder, input_tokens=1170),
        cli.machine.answer("Done.", input_tokens=1180, output_tokens=7),
    )
    cli.stub.play(*steps)
    second = cli.turn("Now use it.", after=first, folder=folder)
    assert second.reply.error is None
    assert second.reply.session == first.reply.session
    for heard in ("The word is XYZZY.", "aubergine", "Now use it."):
        assert cli.heard(heard)
    assert (folder / "calc.py").read_text() == "x = 1\n"
    assert folder == cli.folder or not (cli.folder / "calc.py").exists()
    if cli.machine.usage == "exact":  # a turn has its own tokens, also where the CLI counts the conversation
        assert second.reply.usage == cli.usage(*steps)


def test_a_conversation_that_is_gone_is_told(cli: Driver):
    lost = cli.machine.lost
    if cli.profile.session.scope == "none" or lost is None:
        pytest.skip(f"{cli.profile.name} keeps no conversations, or begins a new one untold")
    if cli.profile.state is not None:  # else we would look for its files ourselves, and not ask the CLI
        state = cli.profile.state.model_copy(update={"sessions": ()})
        cli.profile = cli.profile.model_copy(update={"state": state})
    cli.stub.play(cli.machine.answer("A new one."))
    done = cli.turn(after=Done(Reply("", lost, None, None, None), 0))
    assert done.reply.error is None
    assert done.reply.session not in (None, lost)
    assert [event.text for event in done.events].count("the conversation is gone; a new one begins") == 1


FAULTS: dict[str, tuple[Step, str]] = {
    # Some wait for what the service says between their own tries; a second keeps them short.
    "429": (refuse(429, "rate_limit_error", "Rate limit reached: too many requests.", retry_after="1"), "limit"),
    "401": (refuse(401, "authentication_error", "Incorrect API key provided."), "auth"),
    "503": (refuse(503, "api_error", "Service unavailable", retry_after="1"), "overload"),
    "400": (refuse(400, "invalid_request_error", "This value is not allowed."), "bad_request"),
    "drop": (drop("half an ans"), "crash"),
    "cut": (drop("half an ans", clean=True), "crash"),
    "empty": (say(""), "empty"),
    "hang": (hang(), "idle"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_model_is_a_failure_of_its_kind(cli: Driver, fault: str):
    step, usual = FAULTS[fault]
    kind = cli.machine.kinds.get(fault, usual)
    cli.stub.play(step)
    # What the CLI tries again by itself is little, for the waiting is ours; one that never ends is ended soon.
    limits = {"timeout": cli.machine.hang if kind == "timeout" else cli.machine.patience}
    if fault == "hang":
        limits = {"idle_timeout": cli.machine.hang}
    done = cli.turn(**limits)
    if not cli.stub.requests:  # on a busy machine gemini took longer than that to begin: then it says nothing of faults
        done = cli.turn(**{name: limit * 4 for name, limit in limits.items()})
    assert done.kind == kind, done.reply
    assert done.reply.answer == "" or not done.kind
    assert cli.stub.requests


def test_a_blip_is_ridden_out_or_told(cli: Driver):
    cli.stub.play(refuse(503, "overloaded_error", "Overloaded"), cli.machine.answer("Done at last."))
    done = cli.turn()
    assert (done.kind, done.reply.answer.strip()) in (("", "Done at last."), ("overload", ""))


def test_edits_outside_the_folder_need_the_full_permission(cli: Driver):
    levels = cli.profile.permission
    if levels is None or levels.edit is None:
        pytest.skip(f"{cli.profile.name} has nothing narrower than its bypass")
    outside = cli.bench.folder / f"outside-{cli.folder.name}.txt"
    cli.stub.play(write(str(outside), "x"), cli.machine.answer("ok"))
    assert cli.turn(own={"permission": "edit"}).reply.error is None
    assert not outside.exists()
    # Some keep their file tools inside even then; their commands are free.
    cli.stub.play(run(f"printf x > {outside}"), cli.machine.answer("ok"))
    assert cli.turn(own={"permission": "full"}).reply.error is None
    assert outside.read_text() == "x"


def test_reading_does_not_write(cli: Driver):
    levels = cli.profile.permission
    if levels is None or levels.read is None:
        pytest.skip(f"{cli.profile.name} cannot be kept from writing")
    cli.stub.play(cli.write("a.txt", "x"), run("echo x > b.txt"), cli.machine.answer("ok"))
    assert cli.turn(own={"permission": "read"}, missing_tools=True).reply.error is None
    assert not (cli.folder / "a.txt").exists()
    assert not (cli.folder / "b.txt").exists()


def test_a_cancel_ends_a_running_command_with_everything_below_it(cli: Driver):
    flag = cli.folder / "started"
    cli.stub.play(run(f"touch {flag}; sleep 300") if cli.machine.tools else hang())
    cancel = threading.Event()

    def watch() -> None:
        while not (flag.exists() or (not cli.machine.tools and cli.stub.requests)) and not cancel.wait(0.02):
            pass
        cancel.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = cli.turn(cancel=cancel, own={"permission": cli.machine.full})
    finally:
        cancel.set()
        watcher.join()
    assert flag.exists() == cli.machine.tools
    assert done.kind == "cancelled"


def test_the_version_is_in_the_tested_range(cli: Driver):
    version = cli.profile.version
    assert version is not None
    argv = [str(cli.machine.executable), *version.argv]
    printed = process.capture(argv, cwd=cli.folder, env=cli.bench.environ, timeout=60)
    assert version_note(cli.profile, (printed.stdout + printed.stderr).decode()) == ""
