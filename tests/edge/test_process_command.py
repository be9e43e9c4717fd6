"""The environments that programs get, short trusted programs, and processes that outlive us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.processes import alive, eventually, pid_in

from smithers_git.edge import process
from smithers_git.errors import GitError, SmithersError

# Environments


def test_an_agent_sees_an_allow_list_and_what_is_passed():
    base = {
        "PATH": os.environ["PATH"], "HOME": "/h", "LC_TIME": "C", "XDG_CONFIG_HOME": "/x", "https_proxy": "p",
        "NO_PROXY": "n", "SSL_CERT_FILE": "s", "SECRET": "1", "AWS_KEY": "2", "AWS_REGION": "3", "GIT_DIR": "/d",
        "MY_KEY": "4", "GITHUB_TOKEN": "5",
    }  # fmt: skip
    kept = {"PATH", "HOME", "LC_TIME", "XDG_CONFIG_HOME", "https_proxy", "NO_PROXY", "SSL_CERT_FILE"}
    assert process.agent_env(base, []).keys() == kept
    passed = process.agent_env(base, ["AWS_*", "MY_KEY", "GIT_*"])
    assert passed.keys() == kept | {"AWS_KEY", "AWS_REGION", "MY_KEY"}
    assert passed["AWS_KEY"] == "2"


def test_a_command_keeps_all_but_what_binds_git_to_a_repository():
    names = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, check=True).stdout.decode()
    base = {"PATH": os.environ["PATH"], "SECRET": "1", "GIT_AUTHOR_NAME": "Ada", **dict.fromkeys(names.split(), "x")}
    assert process.clean_env(base) == {"PATH": os.environ["PATH"], "SECRET": "1", "GIT_AUTHOR_NAME": "Ada"}


def test_git_itself_is_asked_and_only_once(tmp_path):
    git = tmp_path / "git"
    git.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho GIT_FROM_THE_FUTURE\n')
    git.chmod(0o755)
    base = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GIT_FROM_THE_FUTURE": "1", "GIT_DIR": "kept by this git"}
    assert "GIT_FROM_THE_FUTURE" not in process.clean_env(base)
    assert "GIT_DIR" in process.clean_env(base)
    assert (tmp_path / "asked").read_text() == "rev-parse --local-env-vars\n"


def test_a_git_that_cannot_answer_is_an_error(tmp_path):
    (tmp_path / "git").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    (tmp_path / "git").chmod(0o755)
    with pytest.raises(GitError, match="local-env-vars failed: broken"):
        process.clean_env({"PATH": f"{tmp_path}:/usr/bin:/bin"})


# Short programs and long ones


def test_capture_returns_what_was_said(tmp_path):
    env = {"PATH": os.environ["PATH"]}
    done = process.capture(["sh", "-c", "cat; pwd >&2; exit 4"], cwd=tmp_path, env=env, input=b"in")
    assert (done.code, done.stdout, done.stderr) == (4, b"in", f"{tmp_path}\n".encode())
    assert process.capture(["cat"], cwd=tmp_path, env=env).stdout == b""
    assert process.capture(["sh", "-c", "kill -9 $$"], cwd=tmp_path, env=env).code == 137


def test_capture_explains_what_cannot_run(tmp_path):
    env = {"PATH": os.environ["PATH"]}
    with pytest.raises(SmithersError, match="no-such-git was not found") as caught:
        process.capture(["no-such-git"], cwd=tmp_path, env=env)
    assert "install no-such-git" in caught.value.hint
    with pytest.raises(SmithersError, match="gone: no such folder"):
        process.capture(["true"], cwd=tmp_path / "gone", env=env)
    with pytest.raises(SmithersError, match=r"sleep 60 did not end within 0.2 s"):
        process.capture(["sleep", "60"], cwd=tmp_path, env=env, timeout=0.2)


def test_a_detached_process_outlives_its_parent_and_writes_its_log(tmp_path):
    script = f"""
from pathlib import Path
from smithers_git.edge.process import spawn_detached
argv = ["sh", "-c", "echo out; echo err >&2; cat; echo $$ > {tmp_path}/pid; exec sleep 60"]
print(spawn_detached(argv, cwd=Path("/"), env={{"PATH": {os.environ["PATH"]!r}}}, log=Path({str(tmp_path)!r}, "log")))
"""
    (tmp_path / "log").write_text("before\n")
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=True)
    pid = pid_in(tmp_path / "pid")
    try:
        assert int(parent.stdout) == pid
        assert alive(pid)
        assert os.getsid(pid) == pid
        assert (tmp_path / "log").read_text() == "before\nout\nerr\n"
    finally:
        process.end_tree(pid, process.start_time(pid), None)
    assert not alive(pid)


def test_a_detached_process_that_ends_leaves_no_zombie(tmp_path):
    pid = process.spawn_detached(["true"], cwd=tmp_path, env=os.environ, log=tmp_path / "log")
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(SmithersError, match="no-such-program was not found"):
        process.spawn_detached(["no-such-program"], cwd=tmp_path, env=os.environ, log=tmp_path / "log")
