"""What a function does with the values that it is handed stays its own affair."""

from __future__ import annotations

from kit.runs import Smithers

BODY = """\
    def grow(a):
        a.append(1)
        return len(a)

    return Sequence(
        Task("a", value=[]),
        Task("first", call=grow),
        Task("second", call=grow),
        Task("third", call=lambda a: len(a)),
    )
"""


def test_a_function_that_changes_what_it_was_given_does_not_change_the_output(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    assert [smithers.json("output", run, node) for node in ("a", "first", "second", "third")] == [[], 1, 1, 0]
