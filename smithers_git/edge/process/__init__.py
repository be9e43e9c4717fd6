"""The sole home of processes: agents and commands with their whole tree, git, and what outlives us."""

from smithers_git.edge.process.command import Captured, capture, spawn_detached
from smithers_git.edge.process.env import agent_env, clean_env
from smithers_git.edge.process.interact import interact
from smithers_git.edge.process.launch import Exit, Launch, Reason, Started, StopStep, Terminal
from smithers_git.edge.process.runner import run
from smithers_git.edge.process.talk import Talk
from smithers_git.edge.process.tree import end_tree, find_tree, inherited, is_alive, is_stopped, start_time

__all__ = [
    "Captured",
    "Exit",
    "Launch",
    "Reason",
    "Started",
    "StopStep",
    "Talk",
    "Terminal",
    "agent_env",
    "capture",
    "clean_env",
    "end_tree",
    "find_tree",
    "inherited",
    "interact",
    "is_alive",
    "is_stopped",
    "run",
    "spawn_detached",
    "start_time",
]
