"""What to type when a checkout cannot follow its branch by itself."""

from __future__ import annotations

from shlex import quote

from smithers_git.edge.git.checkout import Checkout


def some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def complete(checkout: Checkout, old: str, new: str) -> str:
    return f"git -C {quote(str(checkout.path))} read-tree -m -u {old} {new}"


def new_index(checkout: Checkout) -> str:
    """Makes an index anew from HEAD; the files stay."""
    return f"rm -f {quote(str(checkout.index_file))} && git -C {quote(str(checkout.path))} reset -q"


def old_index(checkout: Checkout, old: str) -> str:
    """Makes an index anew as it was before the branch moved; the files stay."""
    git = f"git -C {quote(str(checkout.path))}"
    # `update-index` answers 1 when some files differ, which `read-tree` then says by name.
    made = f"rm -f {quote(str(checkout.index_file))} && {git} read-tree {old}"
    return f"{made} && {{ {git} update-index -q --refresh; true; }}"


def by_hand(checkout: Checkout, old: str, new: str, names: list[str]) -> str:
    """Commands that keep the user's `names`, and then follow."""
    git = f"git -C {quote(str(checkout.path))}"
    known = [quote(name) for name in names if checkout.resolve(f"{old}:{name}")]
    aside = [name for name in names if not checkout.resolve(f"{old}:{name}") and (checkout.path / name).exists()]
    steps = [f"mv {quote(str(checkout.path / name))} {quote(str(checkout.path / name) + '.mine')}" for name in aside]
    if known:
        files = " ".join(known)
        steps += [f"{git} diff --binary {old} -- {files} > mine.patch", f"{git} checkout {old} -- {files}"]
    steps.append(complete(checkout, old, new))
    if known:
        steps.append(f"{git} apply --3way - < mine.patch")
    return " && ".join(steps)
