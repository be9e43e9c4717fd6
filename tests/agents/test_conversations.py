"""The conversations of the real CLIs, carried to a machine that has never heard of them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from agents.drive import PROFILES, Driver, built_in

from smithers_git.core.redact import Redactor
from smithers_git.service import conversations
from smithers_git.service.conversations import Asked, Ready

NAMES = [
    name
    for name in sorted(path.stem for path in PROFILES.glob("*.toml"))
    if (state := built_in(name).state) is not None and state.sessions
]
pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", NAMES, indirect=True)]


def test_what_a_frame_keeps_is_enough_to_go_on_under_a_new_home(cli: Driver, tmp_path: Path):
    cli.stub.play(cli.machine.answer("I shall remember the word aubergine."))
    first = cli.turn("The word is XYZZY.")
    session = first.reply.session
    assert session
    if not cli.profile.state or not cli.profile.state.portable:
        assert not conversations.ready(Asked(cli.profile, cli.bench.environ, session, cli.folder), None).lost
        pytest.skip(f"{cli.profile.name} cannot be carried along, and its profile says so")
    kept = conversations.gather(Asked(cli.profile, cli.bench.environ, session, cli.folder), Redactor)
    assert kept is not None
    assert kept.files

    bench = copy.copy(cli.bench)
    bench.folder = tmp_path / "elsewhere"
    bench.environ = cli.machine.settle(bench.folder, cli.stub, cli.profile.program[0])
    there = Driver(bench, cli.folder, "")
    asked = Asked(cli.profile, bench.environ, session, cli.folder)
    assert conversations.ready(asked, None).lost
    assert conversations.ready(asked, kept) == Ready(restored=True)
    cli.stub.play(cli.machine.answer("Done."))
    second = there.turn("Now use it.", after=first)
    assert second.reply.error is None
    assert second.reply.session == session
    for heard in ("The word is XYZZY.", "aubergine", "Now use it."):
        assert there.heard(heard)
