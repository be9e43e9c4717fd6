"""The page of results says what the numbers say, and what was found has a test that is there."""

from __future__ import annotations

import tomllib

from reliability import page


def test_the_page_is_what_the_numbers_say() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(), "make reliability-page"


def test_every_promise_is_attacked_by_tests_that_are_there() -> None:
    assert set(page.TESTS) == set(page.PROMISES)
    assert [path for paths in page.TESTS.values() for path in paths if not (page.ROOT / path).is_file()] == []


def test_what_was_found_has_a_test_and_says_what_it_broke() -> None:
    for path in page.FOUND.glob("*.toml"):
        for found in tomllib.loads(path.read_text("utf-8"))["found"]:
            assert set(found) == {"what", "where", "promise", "change", "test"}, found
            file, _, name = found["test"].partition("::")
            assert name, found["test"]
            assert f"def {name.partition('[')[0]}(" in (page.ROOT / file).read_text("utf-8"), found["test"]
            # An empty one: nothing broke, it was only slow or large.
            assert found["promise"] in {*page.PROMISES, ""}, found["promise"]
