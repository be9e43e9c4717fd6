"""Commit messages: trailers as git reads them, first lines that fit, snapshots that are recognised."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smithers_git.core import commit_message as cm

LINES = st.text(st.sampled_from("ab: -\n#"), max_size=40)


def test_trailers_are_put_behind_an_empty_line():
    assert cm.with_trailers("title\n\nbody", [("A", "1"), ("B", "2")]) == "title\n\nbody\n\nA: 1\nB: 2\n"
    assert cm.with_trailers("title", [("A", "1")]) == "title\n\nA: 1\n"


def test_trailers_that_were_there_stay_and_those_of_the_same_name_are_replaced():
    text = "title\n\nbody\n\nSigned-off-by: me\nA: old\n"
    assert cm.with_trailers(text, [("a", "new")]) == "title\n\nbody\n\nSigned-off-by: me\na: new\n"


def test_a_title_that_looks_like_a_trailer_is_none():
    assert cm.trailers("fix: the sign") == []
    assert cm.trailer(cm.with_trailers("fix: the sign", [("A", "1")]), "a") == "1"


def test_a_value_cannot_smuggle_in_a_line():
    assert cm.trailers(cm.with_trailers("t", [("A", "1\nB: 2")])) == [("A", "1 B: 2")]


def test_a_message_without_words_gets_some():
    assert cm.with_trailers(" \n", [("A", "1")]) == "No message\n\nA: 1\n"


@pytest.mark.parametrize("text", ["t", "t\n\nb", "t\n\nA: 1\nB: 2", "t\n\nA: 1\nno trailer", "fix: t\n\nx: y"])
def test_git_reads_the_same_trailers(text):
    message = cm.with_trailers(text, [("Smithers-Entry", "abc")])
    git = subprocess.run(["git", "interpret-trailers", "--parse"], input=message, text=True, capture_output=True)
    assert [f"{name}: {value}" for name, value in cm.trailers(message)] == git.stdout.splitlines()


@example(":\n \n:", [("A", "x")])
@given(
    LINES,
    st.lists(st.tuples(st.sampled_from(["A", "B"]), st.text("xy", min_size=1)), min_size=1, unique_by=lambda t: t[0]),
)
def test_what_is_added_is_read_back(text, added):
    message = cm.with_trailers(text, added)
    assert [(name, cm.trailer(message, name)) for name, _ in added] == added
    assert cm.with_trailers(message, added) == message


@given(st.text())
def test_a_first_line_fits(text):
    line = cm.subject(text)
    assert len(line) <= 72
    assert "\n" not in line


@pytest.mark.parametrize(
    "text", [cm.snapshot("a", 1), cm.snapshot("fix-b@2", 12, "gate"), cm.snapshot("x.land", 1, "bad_request")]
)
def test_a_snapshot_is_recognised(text):
    assert cm.is_snapshot(text)
    assert cm.is_snapshot(text + "\n")


@pytest.mark.parametrize("text", ["a: attempt 1\n\nMore words", "attempt 1", "fix: attempt one", "x: attempt 1 of 2"])
def test_what_a_person_wrote_is_no_snapshot(text):
    assert not cm.is_snapshot(text)
