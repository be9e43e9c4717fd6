"""Outputs that the next frame will hold are readable at once, however many others were read in between."""

from __future__ import annotations

from smithers_git.core import events as ev
from smithers_git.core.codec import Owner
from smithers_git.edge.git.objects import Objects
from smithers_git.service.frames import Chain


def test_a_put_output_outlives_the_cache_of_read_ones(repo):
    chain = Chain(Objects(repo / ".git", sync=False), "r", Owner(1, "here"))
    created = ev.RunCreated(run="r", workflow="w", entry="w.py", input={}, base="0" * 40)
    chain.add(created, 1.0)
    for number in range(600):
        chain.put_output(f"outputs/000/n{number}@0.json", number)
    assert [chain.load(f"outputs/000/n{number}@0.json") for number in range(600)] == list(range(600))
    chain.commit()
    assert [chain.load(f"outputs/000/n{number}@0.json") for number in range(600)] == list(range(600))
