"""Sizes and spans as people write them."""

from __future__ import annotations

import pytest

from smithers_git.core import amounts


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("1048576", 1 << 20), ("2G", 2 << 30), ("1 GiB", 1 << 30), ("1.5 KiB", 1536), ("500 MB", 500_000_000),
     ("12b", 12), ("3k", 3072), (" 1 tib ", 1 << 40)],
)  # fmt: skip
def test_sizes(text: str, expected: int) -> None:
    assert amounts.size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("90d", 7_776_000), ("12h", 43_200), ("1.5m", 90), ("0s", 0), ("2 W", 1_209_600)]
)
def test_spans(text: str, expected: float) -> None:
    assert amounts.span(text) == expected


@pytest.mark.parametrize("text", ["", "G", "-1", "1 GB of", "1e9", "ten"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 2 GiB"):
        amounts.size(text)


@pytest.mark.parametrize("text", ["", "d", "90", "-1d", "1 month"])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 90d"):
        amounts.span(text)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (1536, "1.5 KiB"), (1 << 30, "1 GiB"), (5 << 40, "5 TiB")],
)
def test_bytes_for_a_person(number: int, expected: str) -> None:
    assert amounts.shown(number) == expected
