"""Every profile that comes with smithers says what a user has to know of its CLI."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers_git.core.command_line import Turn, build
from smithers_git.core.profile import MAX_ARGUMENT, Profile, load_profile

FILES = {path.stem: path for path in (Path(__file__).parents[2] / "agents").glob("*.toml")}
REAL = sorted(FILES.keys() - {"script"})


@pytest.fixture(params=REAL)
def profile(request: pytest.FixtureRequest) -> Profile:
    path = FILES[request.param]
    return load_profile(path.read_text("utf-8"), str(path))


def test_it_says_whether_it_was_proven(profile: Profile):
    assert bool(profile.proven) != bool(profile.unproven)


def test_it_says_how_to_get_the_program_and_which_versions_fit(profile: Profile):
    assert profile.install
    assert profile.version


def test_a_silent_program_is_ended(profile: Profile):
    """No CLI gives up on a silent model by itself."""
    assert profile.watchdog.first_output
    assert profile.watchdog.idle
    assert profile.stop


def test_a_limit_is_told_from_what_somebody_has_to_mend(profile: Profile):
    kinds = {rule.kind for rule in profile.failure}
    assert {"limit", "auth"} <= kinds


def test_it_says_what_its_cli_may_do_or_why_that_cannot_be_said(profile: Profile):
    """A CLI without permissions writes whatever its model wants: the file has to say that this was no oversight."""
    if profile.permission is None:
        assert "permission" in FILES[profile.name].read_text("utf-8")
    elif profile.permission.edit is not None:
        assert profile.permission.default != "full"


def test_it_is_headless(profile: Profile):
    assert profile.terminal is None


def test_a_prompt_of_a_megabyte_reaches_it_and_no_argument_is_too_long(profile: Profile):
    if profile.unproven:
        pytest.skip("nobody has seen what it takes")
    call = build(profile, Turn("x", "word " * 200_000, "/w", "/s"))
    assert max(len(word) for word in call.argv) <= MAX_ARGUMENT
    assert call.stdin or call.prompt_file
