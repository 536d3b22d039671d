"""Inputs that once failed: `reproducers/TARGET/SLUG/NAME`, replayed by every test run."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz.budget import bounded
from fuzz.seeds import Case
from fuzz.targets import TARGETS, Target

FOLDER = Path(__file__).resolve().parent / "reproducers"
# Of processor time; a smaller case is nicer, no more.
_REDUCING_S = 20.0
_PACKAGES = ("nginx_stream_lint", "fuzz")


def check(target: Target, case: Case) -> None:
    """Check one case within its budget, in a folder of its own. Raises what the target raises."""
    folder = Path(tempfile.mkdtemp(prefix="nginx-stream-lint-fuzz-"))
    try:
        (folder / ".git").mkdir()  # nothing is looked for above it
        with bounded():
            target.check(case, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stored() -> Iterator[tuple[Target, Path]]:
    """All reproducers."""
    for path in sorted(FOLDER.glob("*/*/*")):
        yield TARGETS[path.relative_to(FOLDER).parts[0]], path


def signature(error: BaseException) -> str:
    """What tells one fault from another: the error's type and our innermost function.

    Where a target itself complains, the first words of its message, too.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if any(f"/{package}/" in frame.filename for package in _PACKAGES)
    ]
    name = type(error).__name__
    if not frames or name == "OverBudget":
        return name
    where = Path(frames[-1].filename)
    said = ""
    if where.parent.name == "fuzz":
        said = " ".join(_UNSTEADY.sub(" ", str(error)).split()[:_WORDS])
    return _slug(f"{name} {where.stem} {frames[-1].name} {frames[-1].lineno} {said}")


# What differs from case to case.
_UNSTEADY = re.compile(r"'[^']*'|\"[^\"]*\"|/\S+|\d+|\W+")
_WORDS = 8


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def save(target: Target, case: Case, slug: str, folder: Path = FOLDER) -> Path:
    """Keep a case; the path of its file."""
    path = folder / target.name / slug / case.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.data)
    return path


def reduced(case: Case, fails: Callable[[Case], bool], seconds: float = _REDUCING_S) -> Case:
    """A smaller case that still fails: lines, then bytes, are left out in halving runs."""
    end = time.process_time() + seconds
    data = case.data
    for split in (_lines, _bytes):
        parts = split(data)
        size = max(1, len(parts) // 2)
        while size and time.process_time() < end:
            at = 0
            while at < len(parts) and time.process_time() < end:
                less = parts[:at] + parts[at + size :]
                if fails(Case(case.name, b"".join(less))):
                    parts = less
                else:
                    at += size
            size //= 2
        data = b"".join(parts)
    return Case(case.name, data)


def _lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def _bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
