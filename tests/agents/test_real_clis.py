"""What the profiles say of claude and codex beyond what every CLI has to do, tried with the programs themselves."""

from __future__ import annotations

import shutil
import uuid

import pytest
from agents.drive import Driver
from agents.stub.steps import decline, drop, hang, refuse, run, say

from smithers_git.edge import process

pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", ["claude", "codex"], indirect=True)]


def test_what_it_does_is_seen_while_it_does_it(cli: Driver):
    cli.stub.play(cli.write("calc.py", "x = 1\n"), say("done"))
    done = cli.turn()
    assert [event.kind for event in done.events] == ["started", "tool", "tool_done", "text", "usage"]
    assert len(cli.stub.requests) == 2


def test_a_new_conversation_can_be_given_its_id(cli: Driver, monkeypatch: pytest.MonkeyPatch):
    if cli.profile.name != "claude":
        pytest.skip("codex names its conversations itself")
    chosen = uuid.UUID("99999999-2222-4333-8444-555555555555")
    monkeypatch.setattr(uuid, "uuid4", lambda: chosen)
    cli.stub.play(say("ok"))
    assert cli.turn().reply.session == str(chosen)
    again = cli.turn().reply.error
    assert again is not None
    assert again.lost_session


def test_a_model_that_declines_is_a_refusal(cli: Driver):
    cli.stub.play(decline("This request has been flagged for possible cybersecurity risk."))
    done = cli.turn()
    assert done.kind == "refusal"
    assert done.reply.answer == ""


def test_an_unknown_model_is_not_worth_a_retry(cli: Driver):
    kind = "not_found_error" if cli.profile.name == "claude" else "model_not_found"
    cli.stub.play(refuse(404, kind, "The model `nope` does not exist"))
    assert cli.turn(own={"model": "nope"}).kind == "bad_request"


def test_a_broken_stream_is_ridden_out_and_seen(cli: Driver):
    cli.stub.play(drop("half"), say("Done at last."))
    done = cli.turn()
    if cli.profile.name == "codex":
        assert [event.kind for event in done.events].count("retrying") == 1
    assert done.reply.answer == "Done at last."


def test_a_model_that_hangs_is_ended_by_the_time_limit_and_its_conversation_is_known(cli: Driver):
    cli.stub.play(hang())
    done = cli.turn(timeout=6)
    assert done.kind == "timeout"
    assert done.reply.session
    assert done.seconds < 60


def test_a_prompt_of_300_kb_arrives_whole(cli: Driver):
    cli.stub.play(say("ok"))
    prompt = "-- begin ü\n" + "".join(f'line {number} "quoted" $HOME `x`\n' for number in range(11_000)) + "end"
    assert len(prompt.encode()) > 300_000
    assert cli.turn(prompt).reply.error is None
    assert cli.heard(prompt)


def test_commands_run_in_its_own_sandbox_where_there_is_one(cli: Driver):
    missing = [name for name in ("bwrap", "socat") if shutil.which(name, path=cli.bench.environ["PATH"]) is None]
    if missing and cli.profile.name == "claude":
        pytest.skip(f"{' and '.join(missing)} not installed")
    outside = cli.bench.folder / f"outside-{cli.folder.name}.txt"
    cli.stub.play(run(f"python3 -c 'print(1)' > inside.txt; echo x > {outside}"), say("ok"))
    assert cli.turn().reply.error is None
    assert (cli.folder / "inside.txt").read_text() == "1\n"
    assert not outside.exists()


def test_reading_does_not_write(cli: Driver):
    (cli.folder / "seen.txt").write_text("the contents")
    cli.stub.play(cli.write("a.txt", "x"), run("cat seen.txt"), say("ok"))
    assert cli.turn(own={"permission": "read"}).reply.error is None
    assert not (cli.folder / "a.txt").exists()
    assert "the contents" in cli.stub.requests[-1].words


def test_a_machine_without_a_login_is_told_from_one_with(cli: Driver):
    login, environ = cli.profile.login, cli.bench.environ
    assert login is not None
    words = [str(cli.machine.executable), *login.argv]
    with_key = process.capture(words, cwd=cli.folder, env=environ, timeout=60).code == 0
    bare = {name: value for name, value in environ.items() if "KEY" not in name}
    assert process.capture(words, cwd=cli.folder, env=bare, timeout=60).code != 0
    assert with_key == (cli.profile.name == "claude")  # codex judges by its login file; its profile names a variable
