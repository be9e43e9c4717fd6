"""Permission tests that also bite when root runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_DROP = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def python_bound_by_modes(code: str, *args: str | Path) -> str:
    """Run `code` in a Python that file modes hold back, as root is not; returns its stdout. sys.argv[1:] is `args`."""
    argv = [sys.executable, "-c", code, *map(str, args)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("runs as root, and setpriv (util-linux) is not installed")
        argv = [*_DROP, *argv]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
