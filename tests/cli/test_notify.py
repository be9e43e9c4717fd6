"""Notifications: by a command, on the desktop, to a web address; at least once, and never in a run's way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from kit import queues
from kit.processes import alive, eventually, pid_in
from kit.runs import Smithers
from kit.starter import Forked

from smithers_git.core.codec import Owner
from smithers_git.service import notify, notify_ways
from smithers_git.service.notify_ledger import TRIES
from smithers_git.service.project import Project

ASK = '    return Sequence(Approval("ship", title="Ship it?"), Task("last", value=1))\n'
FAST = '    return Task("one", value=1)\n'


class Site:
    """A web server on 127.0.0.1 that keeps what is posted, and answers `status` (None: never)."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.status: int | None = 200
        self.end = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                site.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if site.status is None:
                    site.end.wait(30)
                    return
                self.send_response(site.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=hush-hush"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.02,))
    thread.start()
    yield site
    site.end.set()
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def configure(text: str) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "smithers" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[notify]\n{text}\n", "utf-8")


def late(smithers: Smithers, text: str) -> Project:
    """The notifiers `text`, which have been told nothing yet of all that happened here."""
    configure(text)
    project = Project.open(smithers.repo)
    for one in notify.notifiers(project):
        notify.ledger(project, one, since=0.0)
    return project


def later(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any pause between two tries is over."""
    ahead = project.clock.now() + 10_000_000
    monkeypatch.setattr(type(project.clock), "now", lambda _self: ahead)


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def findings(smithers: Smithers) -> list[dict[str, Any]]:
    return [one for one in smithers.json("doctor", code=None)["findings"] if one["name"] == "notifications"]


# -- what is told


def test_a_run_that_waits_tells_its_person_by_itself(smithers: Smithers, tmp_path: Path) -> None:
    out = tmp_path / "told"
    configure(f"command = 'cat > {out}.json; echo \"$SMITHERS_EVENT $SMITHERS_RUN $SMITHERS_NODE\" > {out}'")

    run = smithers.up(body=ASK, code=3)

    assert eventually(lambda: out.exists() and out.read_text())
    assert out.read_text() == f"needs_approval {run} ship\n"
    told = json.loads(Path(f"{out}.json").read_text())
    typed = f"smithers -C {smithers.repo} approve {run} --node ship"
    assert (told["reason"], told["command"], told["repository"]) == ("Ship it?", typed, str(smithers.repo))
    assert told["text"] == f"repo: run {run} waits for a decision: Ship it?\n{typed}"


def test_everything_is_told_once_in_order_and_a_rewind_and_a_fork_tell_nothing_again(
    smithers: Smithers, site: Site
) -> None:
    run = smithers.up(body=ASK, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    project = late(smithers, f'webhook = "{site.url}"')

    notify.send_due(project)
    notify.send_due(project)
    smithers("fork", run, "--run-id", "other")
    smithers("rewind", run, "--frame", "1", "--yes")
    assert notify.is_due(project)
    notify.send_due(project)

    assert [one["event"] for one in site.got] == ["needs_approval", "finished"]
    assert not notify.is_due(project)


def test_each_way_has_its_own_occasions(smithers: Smithers, site: Site, tmp_path: Path) -> None:
    smithers.up(body=FAST)
    smithers.up(body=ASK, code=3)
    ways = f'webhook = "{site.url}"\nevents = ["finished"]\ncommand = "cat >> {tmp_path}/told"\ncommand_events = []\n'
    project = late(smithers, ways + 'desktop = true\ndesktop_events = ["landed"]')

    told = notify.send_due(project)

    assert [(one.notifier, one.notice.event) for one in told] == [("command", "finished"), ("webhook", "finished")]


def test_what_happened_before_a_way_was_configured_is_not_told(smithers: Smithers, site: Site) -> None:
    smithers.up(body=FAST)
    configure(f'webhook = "{site.url}"')

    assert smithers.json("notify")["sent"] == []


def test_frames_that_were_fetched_are_told_where_they_were_written(smithers: Smithers, site: Site) -> None:
    smithers.up(body=FAST)
    project = late(smithers, f'webhook = "{site.url}"')
    project.__dict__["owner"] = Owner(1, "another-host")

    assert notify.send_due(project) == []


def test_a_landing_is_told(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = queues.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    queues.branch(repo, "fix", {"new.txt": "new\n"})
    configure(f'webhook = "{site.url}"')

    said = Smithers(repo, capsys).json("land", "fix", *queues.GATE)

    assert eventually(lambda: site.got)
    (told,) = site.got
    assert told["reason"] == f"fix is on main as {said['commit'][:12]}"
    assert told["command"] == f"smithers -C {repo} verify {said['commit'][:12]}"


def test_the_desktop_shows_it(smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = smithers.up(body='    return Approval("ship", title="1 < 2 & so on")\n', code=3)
    folder = program(tmp_path / "bin", "notify-send", f'printf "%s|" "$@" > {tmp_path}/shown').parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    notify.send_due(late(smithers, "desktop = true"))

    shown = (tmp_path / "shown").read_text().split("|")
    assert shown[:2] == ["--app-name=smithers", "--"]
    assert shown[2] == f"repo: run {run} waits for a decision: 1 &lt; 2 &amp; so on"


def test_known_secrets_are_taken_out(smithers: Smithers, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    smithers.up(body='    return Approval("ship", title="is hunter2-hunter2 right?")\n', code=3)
    monkeypatch.setenv("DB_PASSWORD", "hunter2-hunter2")

    notify.send_due(late(smithers, f'webhook = "{site.url}"'))

    assert site.got[0]["reason"] == "is [redacted] right?"
    assert "hunter2" not in json.dumps(site.got)


def test_an_address_may_come_from_a_variable(smithers: Smithers, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    configure('webhook = "$CHAT_URL"')
    assert "the variable CHAT_URL is not set" in smithers("notify", "--test", code=1).out
    monkeypatch.setenv("CHAT_URL", site.url)

    smithers("notify", "--test")

    assert site.got[0]["reason"] == "this is only a test"


# -- notifiers that are broken


BROKEN = {
    "a missing program": ('command = ["no-such-program"]', "no-such-program"),
    "a failing command": ('command = "echo no mail today >&2; exit 7"', "no mail today"),
    "nobody there": ('webhook = "http://127.0.0.1:9/x"', "127.0.0.1"),
    "a desktop without a program": ("desktop = true", "notify-send"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_way_is_named_and_the_notification_is_kept(
    name: str, smithers: Smithers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    smithers.up(body=FAST)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "git"):
        found = next(Path(one) / tool for one in os.environ["PATH"].split(os.pathsep) if (Path(one) / tool).exists())
        (tmp_path / "bin" / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    text, named = BROKEN[name]
    project = late(smithers, text)

    (told,) = notify.send_due(project)

    assert named in (told.error or "")
    assert not notify.is_due(project), "not before a pause"
    later(project, monkeypatch)
    assert len(notify.send_due(project)) == 1, "and then again"
    (finding,) = findings(smithers)
    assert finding["standing"] == "needs you"
    assert named in finding["text"]


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_server_that_says_no_is_asked_again_and_given_up_in_the_end(
    status: int, smithers: Smithers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    smithers.up(body=FAST)
    project = late(smithers, f'webhook = "{site.url}"')
    site.status = status
    for number in range(1, 8):
        ahead = 10_000_000.0 * number
        project.clock = _At(project.clock.now() + ahead)
        told = notify.send_due(project)
        assert "hush-hush" not in str(told), "the address may be a secret"
    assert len(site.got) == TRIES
    assert f"1 given up after {TRIES} tries" in findings(smithers)[0]["text"]

    site.status = 200
    smithers.up("--run-id", "second", body=FAST)
    notify.send_due(project)
    assert site.got[-1]["run"] == "second"
    assert eventually(lambda: findings(smithers)[0]["standing"] == "ok")


class _At:
    """A clock that stands."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


def test_a_command_that_hangs_is_ended_with_all_it_started(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smithers.up(body=FAST)
    monkeypatch.setattr(notify_ways, "LIMIT", 0.4)

    (told,) = notify.send_due(late(smithers, f"command = 'sleep 60 & echo $! > {tmp_path}/pid; wait'"))

    assert "sh: " in (told.error or "")
    assert eventually(lambda: not alive(pid_in(tmp_path / "pid")))


def test_a_server_that_never_answers_is_left(smithers: Smithers, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    smithers.up(body=FAST)
    monkeypatch.setattr(notify_ways, "LIMIT", 0.2)
    site.status = None

    (told,) = notify.send_due(late(smithers, f'webhook = "{site.url}"'))

    assert "timed out" in (told.error or "")


def test_a_broken_way_is_told_once_on_stderr_and_breaks_no_run(smithers: Smithers) -> None:
    smithers.up(body=FAST)
    notify.send_due(late(smithers, 'command = ["no-such-program"]'))
    smithers.write(FAST)

    said = [smithers("up", "flow.py", "--run-id", f"run-{number}").err for number in (1, 2)]

    assert [text.count("the last notification by command failed") for text in said] == [1, 0]


def test_a_kill_between_sending_and_noting_sends_again(smithers: Smithers, tmp_path: Path) -> None:
    smithers.up(body=FAST)
    out = tmp_path / "told"
    hang = f"command = 'echo told >> {out}; while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done'"
    project = late(smithers, hang)
    first = Forked(("notify",), smithers.repo)
    assert eventually(out.exists)
    first.kill()
    first.wait(10)
    (tmp_path / "gate").touch()

    notify.send_due(project)
    notify.send_due(project)

    assert out.read_text() == "told\ntold\n"


def test_two_that_look_at_once_tell_once_and_miss_nothing(smithers: Smithers, site: Site) -> None:
    smithers.up(body=FAST)
    late(smithers, f'webhook = "{site.url}"')
    senders = [threading.Thread(target=lambda: notify.send_due(Project.open(smithers.repo))) for _ in range(4)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    assert [one["event"] for one in site.got] == ["finished"]


# -- configuration


def test_a_test_needs_a_way(smithers: Smithers) -> None:
    assert "[notify]" in smithers("notify", "--test", code=1).err
    assert "no way to notify is configured" in smithers("notify").err


@pytest.mark.parametrize("text", ['webhook = "file:///etc/passwd"', 'events = ["lunch"]', "command_event = []"])
def test_what_cannot_be_meant_is_refused(text: str, smithers: Smithers) -> None:
    configure(text)
    assert "notify." in smithers("notify", code=1).err
