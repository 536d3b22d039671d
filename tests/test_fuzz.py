"""The fuzz targets on a fixed set of cases, all reproducers, and whether fuzzing finds anything.

`make fuzz` goes on from here with random cases; see fuzz/README.md.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import __main__ as command
from fuzz.budget import OverBudget, bounded
from fuzz.hunting import Hunt
from fuzz.mutations import mutated
from fuzz.reproducers import FOLDER, check, stored
from fuzz.seeds import Case
from fuzz.targets import TARGETS, Target, put
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

# All together take some 20 s.
CASES = 30
HERE = [target for target in TARGETS.values() if not target.needs()]


@pytest.mark.parametrize("target", HERE, ids=lambda target: target.name)
def test_fixed_cases(target: Target) -> None:
    @seed(list(TARGETS).index(target.name))
    @settings(
        max_examples=CASES // target.cost,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(target.cases(False))
    def holds(case: Case) -> None:
        check(target, case)

    holds()


@pytest.mark.parametrize(
    ("target", "path"),
    [(target, path) for target, path in stored() if not target.needs()],
    ids=lambda value: value.name if isinstance(value, Target) else str(value.parent.name),
)
def test_reproducers(target: Target, path: Path) -> None:
    check(target, Case(path.name, path.read_bytes()))


def test_each_folder_of_reproducers_is_a_target() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} <= set(TARGETS)


# --- the tools themselves ------------------------------------------------------------------------


def _loops() -> None:
    while True:
        sum(range(1000))


def _backtracks() -> None:
    re.fullmatch(r"(a+)+b", "a" * 60)


def _swallows() -> None:
    while True:
        with contextlib.suppress(Exception):
            _loops()


@pytest.mark.parametrize("body", [_loops, _backtracks, _swallows])
def test_a_case_that_takes_too_long(body: Callable[[], None]) -> None:
    with pytest.raises(OverBudget, match="processor time"), bounded(cpu_s=0.2):
        body()


def test_a_case_that_takes_too_much_memory() -> None:
    with pytest.raises(OverBudget, match="memory"), bounded():
        bytearray(600 << 20)
    assert bytearray(600 << 20), "the limit is gone"


def _planted(case: Case, folder: Path) -> None:
    assert b"proxy_pass" not in Path(put(case, folder)).read_bytes()


def test_a_planted_fault_is_found_once_and_made_small(tmp_path: Path) -> None:
    target = Target(_planted, lambda _: mutated("markdown"))
    hunt = Hunt(target, tmp_path / "found", tmp_path / "current")
    while not hunt.found:
        hunt.round(1)
    [path] = hunt.found
    assert path.read_bytes() == b"proxy_pass"
    hunt.round(1)
    assert hunt.found == [path]


def _dies(case: Case, folder: Path) -> None:  # noqa: ARG001
    os.kill(os.getpid(), signal.SIGKILL)


# Workers of pytest have threads of their own, which the child does not need.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_crash_of_the_interpreter_is_a_finding(tmp_path: Path) -> None:
    target = Target(_dies, lambda _: st.just(Case("a.conf", b"events {}")))
    known: set[str] = set()
    command.turn(target, 10, 1, tmp_path, known)
    assert known == {"died-9"}
    assert (tmp_path / "_dies" / "died-9" / "a.conf").read_bytes() == b"events {}"


def test_the_command_ends_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--minutes", "0.01", "--seed", "1", "headers_never_raise"],
        cwd=FOLDER.parents[1],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^headers_never_raise: [1-9]\d* cases", done.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_hunt_that_is_ended_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    hunt = subprocess.Popen(
        [sys.executable, "-m", "fuzz", "--minutes", "60", "lint_never_raises"],
        cwd=FOLDER.parents[1],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    while hunt.poll() is None and not list(tmp_path.glob("*/current")):
        time.sleep(0.05)
    hunt.send_signal(number)
    # Its children have the same pipe, which ends with the last of them.
    hunt.communicate(timeout=60)
    assert hunt.returncode != 0
    if number == signal.SIGTERM:
        assert list(tmp_path.iterdir()) == []
