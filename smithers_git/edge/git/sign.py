"""Commits that carry the user's own signature, made by git as the user has set it up: gpg, ssh or x509."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smithers_git.edge.git.command import git
from smithers_git.errors import GitError


def signs(folder: Path) -> bool:
    """Whether the user signs commits in the repository around `folder`."""
    return git(folder, "config", "--type=bool", "--get", "commit.gpgSign", check=False) == "true"


def write_signed(folder: Path, tree: str, parents: Sequence[str], message: str, moment: int) -> str:
    """A commit by the user at `moment` (Unix seconds, UTC) with their signature; returns its id.

    Raises GitError when git cannot sign: an unsigned commit would look as if somebody else had made it.
    """
    date = f"@{moment} +0000"
    above = [word for parent in parents for word in ("-p", parent)]
    try:
        return git(
            folder,
            "-c",
            "i18n.commitEncoding=UTF-8",
            "commit-tree",
            "-S",
            *above,
            tree,
            input=message.encode("utf-8", "replace"),
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )
    except GitError as error:
        raise GitError(
            f"git could not sign: {error.message}",
            hint="unlock the key (ssh-add, or gpg --sign once), or decide unsigned: git config commit.gpgSign false",
        ) from error
