"""How runs, nodes, workspaces and refs are spelled: git and every file system must be able to hold them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import histories
from kit.repos import git

from smithers_git import names
from smithers_git.errors import UsageError
from smithers_git.names import TaskKey

run_ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
space_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True).filter(names.is_space_id)


@pytest.mark.parametrize("text", ["a", "7", "fix-login", "a" * 64, "0-0"])
def test_run_ids(text):
    assert names.check_run_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "a" * 65, "ä", "a\n", "a b", "a.lock"]
)
def test_what_cannot_be_a_run_id_is_refused_with_the_rule(text):
    with pytest.raises(UsageError, match="cannot be a run id") as caught:
        names.check_run_id(text)
    assert "lower-case" in caught.value.hint


def test_git_takes_every_ref_that_is_made_of_good_names(repo):
    @settings(deadline=None, max_examples=25)
    @given(run_ids, space_ids, st.integers(1, 10**6))
    def check(run, space, number):
        assert names.check_run_id(run) == run
        for ref in (names.run_ref(run), names.rewound_ref(run, number), names.branch_ref(run, space)):
            git(repo, "check-ref-format", ref)

    check()


@given(histories.node_ids, st.integers(0, 10**6))
def test_a_key_is_read_as_it_is_written(node, iteration):
    key = TaskKey(node, iteration)
    assert names.parse_key(str(key)) == key
    assert names.parse_key(f"{node}@{iteration}") == key


@pytest.mark.parametrize("text", ["a@", "a@x", "a@-1", "a@1.5", "a@²", "a@1@2", "a@ 1", "a@\u0661", "a@" + "9" * 5000])
def test_what_is_no_iteration_is_refused(text):
    with pytest.raises(UsageError, match="is not a node"):
        names.parse_key(text)


def test_a_parameter_can_name_every_node():
    assert names.identifier("test:unit-a.b") == "test_unit_a_b"


def test_only_one_place_spells_our_refs():
    assert names.RUNS.startswith(names.OURS)
    assert names.REWOUND.startswith(names.OURS)
    assert names.QUEUE.startswith(names.OURS)
