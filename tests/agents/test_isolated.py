"""The real CLIs under bubblewrap: they answer, edit, find their login and conversations, and leave nothing."""

from __future__ import annotations

import shutil

import pytest
from agents.conftest import MACHINES
from agents.drive import Driver

from smithers_git.service import isolation

BWRAP = shutil.which("bwrap")
pytestmark = [
    pytest.mark.agents,
    pytest.mark.skipif(BWRAP is None or bool(isolation._try(BWRAP)), reason="bubblewrap does not work here"),
    pytest.mark.parametrize("bench", sorted(MACHINES), indirect=True),
]


def test_an_isolated_turn_edits_its_folder_and_its_conversation_goes_on(cli: Driver):
    cli.stub.play(cli.write("new.txt", "new\n"), cli.machine.answer("written"))
    own = {"permission": cli.machine.full} if cli.machine.full else {}
    done = cli.turn("The word is XYZZY.", isolated=True, own=own)
    assert done.reply.error is None
    assert (cli.folder / "new.txt").read_text() == "new\n"
    assert (cli.folder / ".git/smithers/homes" / cli.profile.name).is_dir()
    if cli.profile.session.scope == "none":
        return
    cli.stub.play(cli.machine.answer("I know"))
    again = cli.turn("What did you write?", after=done, isolated=True, own=own)
    assert again.reply.error is None
    assert cli.heard("The word is XYZZY.")
