"""The files of this project, in a checkout or in an unpacked sdist."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def project_files(root: Path = ROOT) -> list[str]:
    """All files that no .gitignore excludes, by their paths from the root.

    git runs with a new, empty repository: an sdist has none, and in a container the checkout may
    belong to another user.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(["git", "init", "--quiet", "--bare", empty], env=clean, check=True)
        git = ("git", "--git-dir", empty, "--work-tree", root)
        listed = subprocess.run(
            [*git, "ls-files", "--others", "--exclude-standard", "-z"],
            cwd=root,
            env=clean,
            stdout=subprocess.PIPE,
            check=True,
        )
    return sorted(name for name in os.fsdecode(listed.stdout).split("\0") if name)
