"""Ticket files in a real checkout: read, written without replacing anything, found again in the history."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import repos
from kit.repos import git

from smithers_git.core.ticket import Ticket, parse
from smithers_git.errors import TicketError
from smithers_git.service import tickets as shelf
from smithers_git.service.tickets import landed_tickets, read_tickets, survey_tickets, write_tickets


def put(repo: Path, id: str, *needs: str, name: str | None = None, head: str = "") -> Path:
    """A ticket file, written by hand."""
    path = f".smithers/tickets/{name or id}.md"
    text = f"+++\nid = '{id}'\ntitle = 'Do {id}'\ndepends_on = {list(needs)}\n{head}\n+++\n\nPlease.\n"
    repos.write(repo, {path: text})
    return repo / path


def ticket(id: str, **more: object) -> Ticket:
    return Ticket.model_validate({"id": id, "title": f"Do {id}", **more})


def land(repo: Path, id: str, *trailers: str) -> str:
    """A commit as the merge queue makes it."""
    lines = "\n".join(trailers or (f"Smithers-Run: r1\nSmithers-Ticket: {id}\nSmithers-Entry: 0123",))
    git(repo, "commit", "-q", "--allow-empty", "-m", f"Do {id}\n\nText.\n\n{lines}")
    return git(repo, "rev-parse", "HEAD")


# -- reading


def test_tickets_are_read_by_name_and_broken_files_are_named_beside_them(repo: Path) -> None:
    put(repo, "b")
    put(repo, "a", "b")
    put(repo, "b", name="z-copy")
    repos.write(repo, {".smithers/tickets/notes.md": "# Notes\n", ".smithers/tickets/notes.txt": "not looked at"})
    repos.write(repo, {".smithers/tickets/latin.md": b"+++\nid = '\xe9'\n+++\n"})
    found = read_tickets(repo)
    assert [one.id for one in found.tickets] == ["a", "b"]
    assert found.files == {"a": ".smithers/tickets/a.md", "b": ".smithers/tickets/b.md"}
    assert "notes.md:1: this file has no head" in found.broken[".smithers/tickets/notes.md"]
    assert "latin.md:2: this is not UTF-8" in found.broken[".smithers/tickets/latin.md"]
    assert "its id 'b' is that of .smithers/tickets/b.md too" in found.broken[".smithers/tickets/z-copy.md"]


def test_no_folder_is_no_ticket(repo: Path) -> None:
    assert read_tickets(repo).tickets == []


def test_links_are_followed_only_inside_the_repository(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("+++\nid = 'secret'\ntitle = 'x'\n+++\n")
    inside = put(repo, "inside").rename(repo / "inside.md")
    folder = repo / ".smithers" / "tickets"
    (folder / "inside.md").symlink_to(inside)
    (folder / "secret.md").symlink_to(tmp_path / "secret.md")
    (folder / "gone.md").symlink_to("nowhere")
    (folder / "folder.md").mkdir()
    found = read_tickets(repo)
    assert [one.id for one in found.tickets] == ["inside"]
    assert "leads out of the repository" in found.broken[".smithers/tickets/secret.md"]
    assert "is no file" in found.broken[".smithers/tickets/gone.md"]
    assert "is no file" in found.broken[".smithers/tickets/folder.md"]


def test_sizes_are_bounded(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repo, "small")
    put(repo, "large", head=f"x = '{'x' * shelf.LARGEST}'")
    assert "over 256 KiB" in read_tickets(repo).broken[".smithers/tickets/large.md"]
    monkeypatch.setattr(shelf, "MOST", 1)
    with pytest.raises(TicketError, match="holds 2 tickets, more than 1"):
        read_tickets(repo)


# -- writing


def test_new_tickets_become_files_and_leave_nothing_else(repo: Path) -> None:
    made = [ticket("a", body="Text.", acceptance=["it works"]), ticket("b", depends_on=["a"])]
    assert write_tickets(made, repo) == [".smithers/tickets/a.md", ".smithers/tickets/b.md"]
    assert [parse((repo / f".smithers/tickets/{one.id}.md").read_text(), "x.md") for one in made] == made
    assert sorted(path.name for path in (repo / ".smithers/tickets").iterdir()) == ["a.md", "b.md"]


def test_writing_the_same_once_more_changes_nothing(repo: Path) -> None:
    write_tickets([ticket("a")], repo)
    before = repos.contents(repo / ".smithers")
    assert write_tickets([ticket("a")], repo) == [".smithers/tickets/a.md"]
    assert repos.contents(repo / ".smithers") == before


def test_a_taken_id_is_refused_and_nothing_is_written(repo: Path) -> None:
    put(repo, "a", name="older")
    before = repos.contents(repo / ".smithers")
    with pytest.raises(TicketError, match=r"a ticket 'a' already, in \.smithers/tickets/older\.md"):
        write_tickets([ticket("b"), ticket("a")], repo)
    assert repos.contents(repo / ".smithers") == before


def test_a_taken_file_name_gives_way_to_the_next_one(repo: Path) -> None:
    put(repo, "other", name="a")
    repos.write(repo, {".smithers/tickets/a-2.md": "no ticket at all"})
    before = (repo / ".smithers/tickets/a.md").read_bytes()
    assert write_tickets([ticket("a")], repo) == [".smithers/tickets/a-3.md"]
    assert (repo / ".smithers/tickets/a.md").read_bytes() == before


def test_a_folder_that_leads_out_of_the_repository_is_not_written_to(repo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo / ".smithers").mkdir()
    (repo / ".smithers" / "tickets").symlink_to(outside)
    with pytest.raises(TicketError, match="leads out of the repository"):
        write_tickets([ticket("a")], repo)
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(repo: Path) -> None:
    repos.write(repo, {".smithers/tickets": "a file"})
    with pytest.raises(TicketError, match="cannot be made"):
        write_tickets([ticket("a")], repo)


# -- what landed


def test_the_newest_landing_of_each_ticket_counts_on_any_of_the_refs(repo: Path) -> None:
    land(repo, "a")
    newest = land(repo, "a")
    git(repo, "switch", "-qc", "integration")
    there = land(repo, "b")
    git(repo, "switch", "-q", "main")
    refs = ["refs/heads/integration", "refs/heads/no-such-branch", "HEAD"]
    assert landed_tickets(repo, refs) == {"a": newest, "b": there}
    assert landed_tickets(repo, ["HEAD"]) == {"a": newest}
    assert landed_tickets(repo, ["refs/heads/no-such-branch"]) == {}


def test_a_landing_inside_of_a_merge_counts(repo: Path) -> None:
    git(repo, "switch", "-qc", "integration")
    there = land(repo, "a")
    git(repo, "switch", "-q", "main")
    git(repo, "merge", "-q", "--no-ff", "-m", "Take it over", "integration")
    assert landed_tickets(repo, ["main"]) == {"a": there}


@pytest.mark.parametrize(
    "message",
    [
        "Do a\n\nSmithers-Ticket: a\n\nThis is text behind it, so it is no trailer.",
        "Do a\n\nSmithers-Ticket: a",  # not made by the queue
        "Do a\n\n    Smithers-Ticket: a\n    Smithers-Entry: 1\n\nquoted",
    ],
)
def test_text_that_looks_like_a_trailer_is_none(message: str, repo: Path) -> None:
    git(repo, "commit", "-q", "--allow-empty", "-m", message)
    assert landed_tickets(repo, ["HEAD"]) == {}


def test_trailers_are_found_whatever_else_stands_among_them(repo: Path) -> None:
    commit = land(repo, "a", "Signed-off-by: Ada <a@b>", "smithers-ticket: a", "Smithers-Entry: 1", "Change-Id: I1")
    assert landed_tickets(repo, ["HEAD"]) == {"a": commit}


# -- a survey


def test_a_survey_has_them_in_their_order_with_what_landed(repo: Path) -> None:
    put(repo, "b")
    put(repo, "a", "b")
    put(repo, "first", head="priority = 1")
    commit = land(repo, "b")
    found = survey_tickets(repo, "HEAD")
    assert [one.id for one in found.tickets] == ["first", "a", "b"]
    assert (found.onto, found.landed) == ("smithers/integration", {"b": commit})
    assert found.notes == []


def test_a_survey_takes_the_branch_of_the_configuration_or_the_one_that_is_given(repo: Path) -> None:
    put(repo, "a")
    repos.write(repo, {".smithers/config.toml": "[landing]\nbranch = 'next'\n"})
    assert survey_tickets(repo, "HEAD").onto == "next"
    with pytest.raises(TicketError, match="there is no branch 'there' to land on"):
        survey_tickets(repo, "main", onto="there")
    git(repo, "switch", "-qc", "there")
    commit = land(repo, "a")
    assert survey_tickets(repo, "main", onto="there").landed == {"a": commit}


@pytest.mark.parametrize(
    ("only", "said", "hint"),
    [
        (["c"], "there is no ticket 'c'", "tickets here: a, b"),
        ([], r"b\.md: it depends on 'lost', which is no ticket", "mend"),
    ],
)
def test_the_first_survey_refuses_what_cannot_be_done(only: list[str], said: str, hint: str, repo: Path) -> None:
    put(repo, "a")
    put(repo, "b", "lost")
    with pytest.raises(TicketError, match=said) as caught:
        survey_tickets(repo, "HEAD", only=only)
    assert hint in caught.value.hint


def test_all_broken_files_are_named_at_once(repo: Path) -> None:
    repos.write(repo, {".smithers/tickets/x.md": "x", ".smithers/tickets/y.md": "+++\nid = 1\n+++"})
    with pytest.raises(TicketError, match=r"x\.md:1: this file has no head.*y\.md:2: id is 1"):
        survey_tickets(repo, "HEAD")


def test_without_a_ticket_the_hint_says_how_to_get_some(repo: Path) -> None:
    with pytest.raises(TicketError, match="there is no ticket in") as caught:
        survey_tickets(repo, "HEAD")
    assert "smithers up tickets-create" in caught.value.hint


def test_a_dependency_that_landed_needs_no_file_any_more(repo: Path) -> None:
    put(repo, "a", "old")
    land(repo, "old")
    assert [one.id for one in survey_tickets(repo, "HEAD").tickets] == ["a"]


def test_a_later_survey_names_what_was_edited_added_and_deleted(repo: Path) -> None:
    for id in ("a", "b", "c"):
        put(repo, id)
    before = survey_tickets(repo, "HEAD")
    put(repo, "a", head="priority = 2")
    (repo / ".smithers/tickets/b.md").rename(repo / ".smithers/tickets/renamed.md")
    (repo / ".smithers/tickets/c.md").unlink()
    put(repo, "d", "c")
    found = survey_tickets(repo, "HEAD", before=type(before).model_validate(before.model_dump(mode="json")))
    assert (found.changes.edited, found.changes.added, found.changes.deleted) == (["a"], ["d"], ["c"])
    assert found.notes == [
        "ticket a was edited",
        "ticket d was added",
        "ticket c was deleted",
        ".smithers/tickets/d.md: it depends on 'c', which is no ticket",
    ]


def test_a_later_survey_keeps_a_ticket_whose_file_is_broken_now(repo: Path) -> None:
    put(repo, "a")
    before = survey_tickets(repo, "HEAD")
    repos.write(repo, {".smithers/tickets/a.md": "---\nid: a", ".smithers/tickets/new.md": "x"})
    found = survey_tickets(repo, "HEAD", before=before)
    assert found.tickets == before.tickets
    assert found.changes.deleted == []
    assert [note.partition(".md:")[0] for note in found.notes] == [
        "ticket a stays as it was: .smithers/tickets/a",
        "not taken up: .smithers/tickets/new",
    ]


def test_only_what_was_asked_for_is_looked_at_again(repo: Path) -> None:
    put(repo, "a")
    put(repo, "b")
    before = survey_tickets(repo, "HEAD", only=["a"])
    put(repo, "b", head="priority = 1")
    assert survey_tickets(repo, "HEAD", only=["a"], before=before).notes == []
