"""Make many finished runs: `many.py COUNT`, in a repository with a flow.py."""

from __future__ import annotations

import sys
from pathlib import Path

from smithers_git.edge.git.objects import Objects
from smithers_git.service import drive, launch
from smithers_git.service.project import Project

project = Project.open(Path.cwd())
project.__dict__["objects"] = Objects(project.repository.common_dir, sync=False)
for number in range(int(sys.argv[1])):
    request = launch.Request("flow.py", {"n": 2}, run=f"run-{number}", cwd=Path.cwd())
    made = launch.begin(project, request)
    drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
