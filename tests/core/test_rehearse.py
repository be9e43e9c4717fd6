"""Whether a profile would know a limit is told from its rules alone, wherever they look for errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers_git.core.profile import load_profile
from smithers_git.core.rehearse import LIMITS, knows

AGENTS = {path.stem: path for path in (Path(__file__).parents[2] / "agents").glob("*.toml")}
WORDS = LIMITS["OpenAI"]


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_shipped_profile_knows_a_limit(name: str):
    profile = load_profile(AGENTS[name].read_text("utf-8"), f"agents/{name}.toml")
    assert [vendor for vendor, text in LIMITS.items() if knows(profile, text)]


TEXT = 'program = ["x"]\nargv = ["{prompt}"]\noutput.mode = "text"\nsuccess.exit = [0]\n'
LINES = """
program = ["x"]
argv = ["{prompt}"]
success.event = { type = "end" }
[output]
mode = "jsonl"
answer = { path = "answer" }
error = { where = { "end.state" = "bad" }, path = "errors[kind=last].text" }
"""
RULE = """
[[failure]]
kind = "limit"
"""


@pytest.mark.parametrize(
    ("profile", "known"),
    [
        (TEXT, False),
        (f"{TEXT}{RULE}regex = 'Too Many Requests'", True),
        (f"{TEXT}{RULE}regex = 'Too Many Cooks'", False),
        (f"{TEXT}{RULE}exit = [75]", True),
        (LINES, False),
        (f"{LINES}{RULE}regex = 'Too Many Requests'", True),
        (f"{LINES}{RULE}where = {{ type = 'refused', status = 429 }}", True),
        (f"{LINES}[[failure]]\nkind = 'crash'\nregex = '429'\n{RULE}regex = '429'", False),
        (LINES.replace("error = {", 'error = { from = "stderr",') + f"{RULE}regex = 'Rate limit'", True),
        (LINES.replace("error = {", 'error = { from = "file:e.json",') + f"{RULE}regex = 'Rate limit'", True),
    ],
    ids=["no rule", "text", "other text", "exit", "no rule of lines", "lines", "two lines", "hidden", "stderr", "file"],
)
def test_a_limit_is_known_by_any_kind_of_rule(profile: str, known: bool):
    assert knows(load_profile(profile, "x.toml"), WORDS) == known
