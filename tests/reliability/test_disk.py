"""The model of a disk: what was flushed is in every image, and nothing is in one that was never there."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reliability import images
from reliability.disk import Disk, Line, Node, Tree

BASE: Tree = {"d": Node("dir", 0o755), "e": Node("dir", 0o755), "d/old": Node("file", 0o644, b"old")}
NAMES = ("d/old", "d/a", "d/b", "e/a", "e/b", "e/f/a", "e/f")


def content(tree: Tree) -> dict[str, bytes]:
    return {path: node.data for path, node in tree.items() if node.kind == "file"}


def every(disk: Disk, mode: str) -> list[dict[str, bytes]]:
    return [content(image.tree) for image in images.distinct(disk, images.names(disk, mode))]


def at_end(disk: Disk, mode: str) -> list[dict[str, bytes]]:
    """What may be there after the last line."""
    end = len(disk.lines)
    return [content(disk.image(name)) for name in images.names(disk, mode) if int(name.split(":")[1]) == end]


def saved(path: str, data: bytes, *flushed: str) -> list[Line]:
    """The usual way to write a file whole: beside it, flushed or not, then renamed over it."""
    beside = f"{path}.new"
    lines = [Line("create", beside), Line("write", beside, data=data)]
    lines += [Line("fsync", beside)] if "file" in flushed else []
    lines += [Line("rename", beside, path)]
    return lines + ([Line("fsync", path.rpartition("/")[0])] if "folder" in flushed else [])


# -- the rules, one by one


def test_what_is_flushed_with_its_folder_is_there_in_both_modes() -> None:
    disk = Disk(BASE, saved("d/a", b"x" * 9000, "file", "folder"))
    for mode in ("strict", "ext4"):
        assert all(found == {"d/old": b"old", "d/a": b"x" * 9000} for found in at_end(disk, mode))


def test_a_name_without_a_flush_of_its_folder_may_be_lost_on_the_strict_disk_only() -> None:
    disk = Disk(BASE, [Line("create", "d/a"), Line("write", "d/a", data=b"x"), Line("fsync", "d/a")])
    assert {"d/old": b"old"} in at_end(disk, "strict")
    assert all("d/a" in found for found in at_end(disk, "ext4"))


def test_a_new_folder_is_lost_with_all_that_is_in_it_unless_the_one_above_is_flushed() -> None:
    lines = [Line("mkdir", "d/n"), *saved("d/n/a", b"x", "file", "folder")]
    assert {"d/old": b"old"} in at_end(Disk(BASE, lines), "strict")
    assert all("d/n/a" in found for found in at_end(Disk(BASE, [*lines, Line("fsync", "d")]), "strict"))
    assert all("d/n/a" in found for found in at_end(Disk(BASE, lines), "ext4"))


def test_a_file_renamed_to_a_new_name_unflushed_may_be_empty_and_one_renamed_over_another_not_on_ext4() -> None:
    fresh, over = Disk(BASE, saved("d/a", b"x")), Disk(BASE, saved("d/old", b"x"))
    assert {"d/old": b"old", "d/a": b""} in at_end(fresh, "ext4")
    assert all(found.get("d/old") in (b"old", b"x") for found in at_end(over, "ext4"))
    assert {"d/old": b""} in at_end(over, "strict")


def test_a_rename_inside_a_folder_leaves_one_of_both_names() -> None:
    lines = [Line("create", "d/a"), Line("fsync", "d"), Line("rename", "d/a", "d/b")]
    for mode in ("strict", "ext4"):
        assert all(("d/a" in found) != ("d/b" in found) for found in at_end(Disk(BASE, lines), mode))


def test_a_rename_across_folders_may_show_both_names_but_never_none() -> None:
    lines = [Line("rename", "d/old", "e/a")]
    found = at_end(Disk(BASE, lines), "strict")
    assert {"d/old": b"old", "e/a": b"old"} in found
    assert {} not in found
    assert {"d/old": b"old", "e/a": b"old"} not in at_end(Disk(BASE, lines), "ext4")
    flushed = at_end(Disk(BASE, [*lines, Line("fsync", "d")]), "strict")
    assert all(one == {"e/a": b"old"} for one in flushed)


def test_unflushed_bytes_are_torn_at_sectors_and_pages_or_zeros() -> None:
    lines = [Line("create", "d/a"), Line("fsync", "d"), Line("write", "d/a", data=b"x" * 9000)]
    found = {one["d/a"] for one in at_end(Disk(BASE, lines), "strict")}
    assert {b"", b"x" * 512, b"x" * 4096, b"x" * 8704, b"x" * 9000, bytes(9000)} <= found


def test_one_flush_of_a_file_that_grew_makes_every_earlier_name_durable_on_ext4() -> None:
    lines = [Line("mkdir", "e/f"), Line("create", "e/f/a"), Line("write", "d/old", offset=3, data=b"!")]
    disk = Disk(BASE, [*lines, Line("fdatasync", "d/old")])
    assert all("e/f/a" in found and found["d/old"] == b"old!" for found in at_end(disk, "ext4"))
    over = Disk(BASE, [*lines[:2], Line("write", "d/old", data=b"new"), Line("fdatasync", "d/old")])
    assert {"d/old": b"new"} in at_end(over, "ext4"), "nothing of the file's own waited for the journal"


def test_a_truncated_file_may_be_empty_before_it_is_full_again() -> None:
    disk = Disk(BASE, [Line("trunc", "d/old"), Line("write", "d/old", data=b"newer")])
    for mode in ("strict", "ext4"):
        assert {b"", b"newer", b"old"} <= {found["d/old"] for found in at_end(disk, mode)}


def test_two_names_of_a_file_stay_one_file() -> None:
    disk = Disk(BASE, [Line("link", "d/old", "e/a"), Line("write", "e/a", data=b"n"), Line("unlink", "d/old")])
    both, one = disk.image("strict:2:all"), disk.image("strict:3:all")
    assert both["d/old"].same == both["e/a"].same != 0
    assert both["d/old"].data == b"nld"
    assert one["e/a"] == Node("file", 0o644, b"nld")
    assert Disk(both, [Line("write", "d/old", data=b"x")]).image("strict:1:all")["e/a"].data == b"xld"


def test_a_change_of_a_name_needs_the_one_before_it() -> None:
    lines = [Line("create", "d/a"), Line("unlink", "d/a"), Line("create", "d/a"), Line("write", "d/a", data=b"2")]
    disk = Disk(BASE, lines)
    assert "d/a" not in disk.image("strict:4:drop:0")
    assert disk.image("strict:4:only:2")["d/a"].data == b""


def test_what_is_written_to_a_file_without_a_name_is_nowhere() -> None:
    lines = [Line("create", "d/a"), Line("unlink", "d/a"), Line("write", "d/a", data=b"x"), Line("fsync", "d/a")]
    assert every(Disk(BASE, lines), "strict") == [{"d/old": b"old"}, {"d/old": b"old", "d/a": b""}]


# -- any recording


@st.composite
def recordings(draw: st.DrawFn) -> list[Line]:
    """Lines that a file system would have accepted one after the other."""
    files, folders, lines = {"d/old"}, {"d", "e"}, list[Line]()
    for _ in range(draw(st.integers(1, 9))):
        here = sorted(name for name in NAMES if name.rpartition("/")[0] in folders)
        free = [name for name in here if name not in files | folders]
        kind = draw(
            st.sampled_from(["create", "write", "write", "trunc", "rename", "link", "unlink", "fsync", "fsync"])
        )
        if kind == "create" and free:
            name = draw(st.sampled_from(free))
            lines.append(Line("mkdir" if name == "e/f" else "create", name))
            (folders if name == "e/f" else files).add(name)
        elif kind == "fsync":
            lines.append(Line("fsync", draw(st.sampled_from(sorted(files | folders)))))
        elif files and kind != "create":
            name = draw(st.sampled_from(sorted(files)))
            targets = [other for other in here if other not in folders and other not in (name, "e/f")]
            if kind == "write":
                lines.append(Line("write", name, offset=draw(st.integers(0, 4)), data=draw(st.binary(max_size=4))))
            elif kind == "trunc":
                lines.append(Line("trunc", name, length=draw(st.integers(0, 4))))
            elif kind == "unlink":
                lines.append(Line("unlink", name))
                files.discard(name)
            elif targets:
                other = draw(st.sampled_from(targets))
                if kind == "link" and other in files:
                    continue
                lines.append(Line(kind, name, other))
                files.add(other)
                files -= {name} if kind == "rename" else set()
    return lines


@settings(max_examples=150, deadline=None)
@given(recordings(), st.integers(0, 10**6))
def test_every_image_of_ext4_is_one_of_the_strict_disk_and_both_keep_what_was_flushed(lines: list[Line], seed: int):
    disk = Disk(BASE, lines)
    end = len(lines)
    pending = disk.pending(end)
    possible = [
        disk._build(end, lambda n, kept=set(kept): disk.changes[n].safe < end or n in kept, {})
        for size in range(len(pending) + 1)
        for kept in combinations(pending, size)
    ]
    drawn = images.drawn(disk, "ext4", random.Random(seed))
    names = [*images.names(disk, "ext4"), *(next(drawn) for _ in range(5))]
    for name in names:
        if int(name.split(":")[1]) == end and "tear" not in name and "some" not in name:
            assert disk.image(name) in possible, name
    assert disk.image(f"strict:{end}:all") == disk.image(f"ext4:{end}:{disk.reach(end)}:all")
    assert disk.image("strict:0:none") == disk.image("ext4:0:0:none") == BASE
    flushed = [*lines, *(Line("fsync", path) for path in ("d", "e", "e/f", *NAMES))]
    for mode in ("strict", "ext4"):
        assert len({frozenset(found.items()) for found in at_end(Disk(BASE, flushed), mode)}) == 1


@settings(max_examples=60, deadline=None)
@given(lines=recordings())
def test_the_image_of_everything_is_what_a_real_file_system_has(
    lines: list[Line], tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("disk")
    for path, node in BASE.items():
        (top / path).mkdir() if node.kind == "dir" else (top / path).write_bytes(node.data)
    for line in lines:
        _do(line, top)
    real = {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None for path in sorted(top.rglob("*"))
    }
    seen = Disk(BASE, lines).image(f"strict:{len(lines)}:all")
    assert {path: node.data if node.kind == "file" else None for path, node in sorted(seen.items())} == real


def _do(line: Line, top: Path) -> None:
    path, other = top / line.path, top / line.path2
    match line.op:
        case "create":
            path.touch()
        case "mkdir":
            path.mkdir()
        case "write":
            with path.open("r+b") as file:
                file.seek(line.offset)
                file.write(line.data)
        case "trunc":
            with path.open("r+b") as file:
                file.truncate(line.length)
        case "rename":
            path.rename(other)
        case "link":
            other.hardlink_to(path)
        case "unlink":
            path.unlink()
