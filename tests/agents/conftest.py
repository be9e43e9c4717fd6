"""Real agent CLIs, sealed off: a home of their own, dummy keys, and a scripted model on loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from agents.drive import Bench, Driver, built_in
from agents.machine import every

MACHINES = every()
RECORDINGS = {
    "test_a_turn_edits_a_file_and_its_tokens_are_counted": "edit",
    "test_a_conversation_goes_on_where_the_profile_says_so": "resumed",
    "test_a_blip_is_ridden_out_or_told": "blip",
}
"""Names of recordings by test; a fault has its own."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """As everywhere, but never below /dev/shm: the sandboxes of claude and codex hide it, and the working folder."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="smithers-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A machine with the CLI that the test names, for all tests of a session. A CLI that is not there is skipped."""
    with _bench(request.param) as found:
        yield found


@pytest.fixture
def cli(request: pytest.FixtureRequest, bench: Bench) -> Driver:
    """The CLI in a fresh repository."""
    fault = request.node.callspec.params.get("fault", "")
    return bench.driver(RECORDINGS.get(request.node.originalname, "") or fault)


@contextmanager
def _bench(name: str) -> Iterator[Bench]:
    profile = built_in(name)
    machine = MACHINES.get(name)
    if machine is None:
        assert profile.unproven, f"{name} says that it is proven, and no machine drives it"
        pytest.skip(f"{name} cannot be had: {profile.unproven}")
    if machine.missing:
        pytest.skip(machine.missing)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="smithers-", ignore_cleanup_errors=True) as folder:
        bench = Bench(machine, Path(folder), profile)
        with bench.stub:
            yield bench
