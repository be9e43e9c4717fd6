"""What the shipped profiles say of claude and codex, tried with the programs themselves."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from agents.stub_model import Step, StubModel, decline, drop, hang, refuse, run, say, write
from kit.processes import marked

from smithers_git.core.command_line import Turn, build, version_note
from smithers_git.core.events import Usage
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import AgentEvent, Reply
from smithers_git.core.stream import Reader
from smithers_git.edge import process

pytestmark = pytest.mark.agents
PROFILES = Path(__file__).parents[2] / "agents"


@dataclass
class Done:
    reply: Reply
    exit: process.Exit
    events: list[AgentEvent] = field(default_factory=list)

    @property
    def kind(self) -> str:
        assert self.reply.error is not None, self.reply
        return self.reply.error.kind


class Seat:
    """One CLI with its machine and a working folder."""

    def __init__(self, name: str, machine: dict[str, str], folder: Path) -> None:
        self.name, self.machine, self.folder = name, machine, folder
        self.profile: Profile = load_profile((PROFILES / f"{name}.toml").read_text(), f"agents/{name}.toml")
        self.program = shutil.which(name, path=machine["PATH"]) or name

    def turn(
        self,
        prompt: str = "Fix it.",
        *,
        cwd: Path | None = None,
        timeout: float = 90,
        idle_timeout: float | None = None,
        cancel: threading.Event | None = None,
        before: Usage | None = None,
        **values: object,
    ) -> Done:
        """Run one turn as the engine does."""
        cwd = cwd or self.folder
        model = "claude-sonnet-4-5" if self.name == "claude" else None
        values = {"model": model} | values
        call = build(self.profile, Turn(self.program, prompt, str(cwd), str(cwd.parent / "scratch"), **values))  # type: ignore[arg-type]
        reader, events = Reader(self.profile, before), list[AgentEvent]()
        launch = process.Launch(
            call.argv,
            cwd,
            process.agent_env(self.machine, [*call.env_pass, "SMITHERS_TEST_MARK"]) | call.env_set,
            stdin=call.stdin,
            timeout=timeout,
            idle_timeout=idle_timeout,
            stop=tuple(process.StopStep(step.signal, step.wait) for step in self.profile.stop),
        )
        ended = process.run(
            launch, on_output=lambda data: events.extend(reader.feed(data)), cancel=cancel or threading.Event()
        )
        reply = reader.finish(ended.code, ended.stderr, ended=ended.reason, message=ended.message)
        assert marked("SMITHERS_TEST_MARK", self.machine["SMITHERS_TEST_MARK"]) == []
        return Done(reply, ended, events)

    def file(self, name: str) -> str:
        """The path of a file as the CLI's model has to name it."""
        return str(self.folder / name) if self.name == "claude" else name


@pytest.fixture(params=["claude", "codex"])
def seat(request: pytest.FixtureRequest, tmp_path: Path) -> Seat:
    machine = request.getfixturevalue(f"{request.param}_env")
    (tmp_path / "space").mkdir()
    return Seat(request.param, machine, tmp_path / "space")


def test_a_turn_edits_a_file_and_its_tokens_are_counted(seat: Seat, stub_model: StubModel):
    stub_model.play(
        write(seat.file("new/calc.py"), "x = 'ümläut'\n", input_tokens=120, cached_tokens=20, output_tokens=30),
        say('{"summary": "done"}', input_tokens=150, cached_tokens=100, output_tokens=40),
    )
    done = seat.turn()
    assert done.reply.error is None
    assert done.reply.answer == '{"summary": "done"}'
    assert (seat.folder / "new" / "calc.py").read_text() == "x = 'ümläut'\n"
    # The stub's counts mean what each vendor's mean: Anthropic's input is without the cached tokens.
    given = 270 + (120 if seat.name == "claude" else 0)
    assert done.reply.usage == Usage(input=given, output=70, cached=120)
    assert [event.kind for event in done.events] == ["started", "tool", "tool_done", "text", "usage"]
    assert len(stub_model.requests) == 2


def test_the_conversation_goes_on_in_another_folder_and_edits_there(seat: Seat, stub_model: StubModel, tmp_path: Path):
    stub_model.play(say("I shall remember the word aubergine.", input_tokens=100, output_tokens=10))
    first = seat.turn("The word is XYZZY.")
    assert first.reply.session
    other = tmp_path / "elsewhere"
    other.mkdir()
    target = str(other / "calc.py") if seat.name == "claude" else "calc.py"
    stub_model.play(write(target, "x = 1\n", input_tokens=70, output_tokens=7), say("Done.", input_tokens=80))
    second = seat.turn("Now use it.", cwd=other, session=first.reply.session, before=first.reply.total)
    assert second.reply.error is None
    assert second.reply.session == first.reply.session
    words = stub_model.requests[0].words
    assert "The word is XYZZY." in words
    assert "aubergine" in words
    assert "Now use it." in words
    assert (other / "calc.py").read_text() == "x = 1\n"
    assert not (seat.folder / "calc.py").exists()
    # A turn has its own tokens, although codex counts the whole conversation.
    assert second.reply.usage == Usage(input=150, output=17, cached=0)


def test_a_conversation_that_is_gone_is_told(seat: Seat, stub_model: StubModel):
    done = seat.turn(session="11111111-2222-4333-8444-555555555555")
    assert done.reply.error is not None
    assert done.reply.error.lost_session
    assert stub_model.requests == []


def test_a_new_conversation_can_be_given_its_id(stub_model: StubModel, claude_env: dict[str, str], tmp_path: Path):
    seat = Seat("claude", claude_env, tmp_path)
    stub_model.play(say("ok"))
    chosen = "99999999-2222-4333-8444-555555555555"
    assert seat.turn(new_session=chosen).reply.session == chosen
    again = seat.turn(new_session=chosen).reply.error
    assert again is not None
    assert again.lost_session


REFUSALS: dict[str, tuple[Step, str]] = {
    "rate limit": (refuse(429, "rate_limit_error", "Too many requests."), "limit"),
    "wrong key": (refuse(401, "authentication_error", "invalid x-api-key"), "auth"),
    "server error": (refuse(500, "api_error", "Internal server error"), "overload"),
    "refusal": (decline("This request has been flagged for possible cybersecurity risk."), "refusal"),
    "dropped stream": (drop("half an ans"), "crash"),
    "empty answer": (say(""), "empty"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_fault_of_the_model_is_a_failure_of_its_kind(seat: Seat, stub_model: StubModel, name: str):
    step, kind = REFUSALS[name]
    stub_model.play(step)
    done = seat.turn()
    assert done.kind == kind
    assert done.reply.answer == ""
    # Their own retries are turned down: claude would make 10 of them, for minutes.
    assert 1 <= len(stub_model.requests) <= 4


def test_an_unknown_model_is_not_worth_a_retry(seat: Seat, stub_model: StubModel):
    kind = "not_found_error" if seat.name == "claude" else "model_not_found"
    stub_model.play(refuse(404, kind, "The model `nope` does not exist"))
    assert seat.turn(model="nope").kind == "bad_request"


def test_a_blip_is_ridden_out_and_seen(seat: Seat, stub_model: StubModel):
    stub_model.play(drop("half"), say("Done at last."))
    done = seat.turn()
    if seat.name == "codex":
        assert [event.kind for event in done.events].count("retrying") == 1
    assert done.reply.answer == "Done at last."


@pytest.mark.parametrize("limit", ["idle_timeout", "timeout"])
def test_a_model_that_hangs_is_ended_by_our_limit_and_leaves_no_process(seat: Seat, stub_model: StubModel, limit: str):
    stub_model.play(hang())
    done = seat.turn(**{limit: 6})  # type: ignore[arg-type]
    assert done.kind == ("idle" if limit == "idle_timeout" else "timeout")
    assert done.exit.reason == done.kind
    assert done.reply.session
    assert done.exit.seconds < 60


def test_a_cancel_ends_a_running_command_with_everything_below_it(seat: Seat, stub_model: StubModel):
    if seat.name == "claude" and os.geteuid() == 0:
        seat.machine["IS_SANDBOX"] = "1"
    flag = seat.folder / "started"
    stub_model.play(run(f"touch {flag}; sleep 300"))
    cancel = threading.Event()

    def watch() -> None:
        while not flag.exists() and not cancel.wait(0.02):
            pass
        cancel.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = seat.turn(permission="full", cancel=cancel)
    finally:
        cancel.set()
        watcher.join()
    assert flag.exists()
    assert done.kind == "cancelled"


def test_a_prompt_of_300_kb_arrives_whole(seat: Seat, stub_model: StubModel):
    stub_model.play(say("ok"))
    prompt = "-- begin ü\n" + "".join(f'line {number} "quoted" $HOME `x`\n' for number in range(11_000)) + "end"
    assert len(prompt.encode()) > 300_000
    assert seat.turn(prompt).reply.error is None
    assert json.dumps(prompt, ensure_ascii=False)[1:-1] in stub_model.requests[0].words


def test_edits_outside_the_folder_need_the_full_permission(seat: Seat, stub_model: StubModel, tmp_path: Path):
    outside = tmp_path / "outside.txt"
    steps = (write(str(outside), "x"), say("ok"))
    stub_model.play(*steps)
    assert seat.turn().reply.error is None
    assert not outside.exists()
    seat.machine["IS_SANDBOX"] = "1"  # root has to say that the machine itself is the sandbox
    stub_model.play(*steps)
    assert seat.turn(permission="full").reply.error is None
    assert outside.read_text() == "x"


def test_claude_runs_commands_in_its_sandbox_where_there_is_one(
    stub_model: StubModel, claude_env: dict[str, str], tmp_path: Path
):
    missing = [name for name in ("bwrap", "socat") if shutil.which(name, path=claude_env["PATH"]) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    (tmp_path / "space").mkdir()
    outside = tmp_path / "outside.txt"
    stub_model.play(run(f"python3 -c 'print(1)' > inside.txt; echo x > {outside}"), say("ok"))
    assert Seat("claude", claude_env, tmp_path / "space").turn().reply.error is None
    assert (tmp_path / "space" / "inside.txt").read_text() == "1\n"
    assert not outside.exists()


def test_reading_does_not_write(seat: Seat, stub_model: StubModel):
    (seat.folder / "seen.txt").write_text("the contents")
    stub_model.play(write(seat.file("a.txt"), "x"), run("cat seen.txt"), say("ok"))
    assert seat.turn(permission="read").reply.error is None
    assert not (seat.folder / "a.txt").exists()
    assert "the contents" in stub_model.requests[-1].words


def test_the_version_is_in_the_tested_range(seat: Seat):
    version = seat.profile.version
    assert version is not None
    printed = process.capture([seat.program, *version.argv], cwd=seat.folder, env=seat.machine, timeout=60)
    assert version_note(seat.profile, printed.stdout.decode()) == ""


def test_a_machine_without_a_login_is_told_from_one_with(seat: Seat):
    login = seat.profile.login
    assert login is not None
    with_key = process.capture([seat.program, *login.argv], cwd=seat.folder, env=seat.machine, timeout=60).code == 0
    bare = {name: value for name, value in seat.machine.items() if "KEY" not in name}
    assert process.capture([seat.program, *login.argv], cwd=seat.folder, env=bare, timeout=60).code != 0
    assert with_key == (seat.name == "claude")  # codex judges by its login file; its profile names CODEX_API_KEY
