"""Install the programs to measure as users do: our wheel, and each peer separately."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Newer ones have other speeds: change the version here, then the figures in docs/benchmarks.md.
PEERS = {"gixy-ng": "0.2.59", "gixy-next": "0.9.0"}


@dataclass(frozen=True)
class Environment:
    """A folder with one virtual environment for nginx-stream-lint and one for each peer.

    The peers cannot share one: both install a package and a command named gixy.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """The Python interpreter with nginx-stream-lint, click and crossplane."""
        return self._bin("nginx-stream-lint") / "python"

    @property
    def command(self) -> Path:
        """The command nginx-stream-lint."""
        return self._bin("nginx-stream-lint") / "nginx-stream-lint"

    def gixy(self, peer: str) -> Path:
        """The command of a peer."""
        return self._bin(peer) / "gixy"

    def install(self, peers: Iterable[str]) -> None:
        """Build a wheel from this tree and install it; install missing peers."""
        wheels = self.folder / "wheels"
        for old in wheels.glob("*.whl"):
            old.unlink()
        self._pip(
            sys.executable,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            wheels,
            ROOT,
        )
        (wheel,) = wheels.glob("*.whl")
        python = self._made("nginx-stream-lint")
        self._pip(python, "install", wheel)
        self._pip(python, "install", "--force-reinstall", "--no-deps", wheel)
        for peer in peers:
            self._pip(self._made(peer), "install", f"{peer}=={PEERS[peer]}")

    def version(self, package: str) -> str:
        """The version of a package in the environment of nginx-stream-lint."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.check_output([self.python, "-I", "-c", code], text=True).strip()

    def _bin(self, name: str) -> Path:
        return self.folder / name / "bin"

    def _made(self, name: str) -> Path:
        python = self._bin(name) / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.folder / name], check=True)
        return python

    @staticmethod
    def _pip(python: str | Path, *arguments: str | Path) -> None:
        quiet = ("--quiet", "--disable-pip-version-check")
        subprocess.run([python, "-m", "pip", *arguments, *quiet], check=True)
