"""`python -m fuzz`: hunt for minutes; exit status 1 where something was found.

Each target gets its turn in a process of its own, one after the other, so that a crash of the
interpreter is a finding, too, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from fuzz.hunting import Hunt
from fuzz.reproducers import FOLDER, save
from fuzz.seeds import Case
from fuzz.targets import TARGETS, Target

_TURN_S = 30.0
# A turn that ends with a fault takes longer, to make its case smaller.
_GRACE_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long  [default: 10]")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="repeat a run")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where reproducers go")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    chosen = [TARGETS[name] for name in arguments.targets or TARGETS]
    able = [target for target in chosen if not target.needs()]
    for target in chosen:
        if target not in able:
            print(f"{target.name}: left out, {target.needs()}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {arguments.seed}, {len(able)} targets")
    end = time.monotonic() + arguments.minutes * 60
    hunts = {target.name: 0 for target in able}
    known: dict[str, set[str]] = {target.name: set() for target in able}
    number = arguments.seed
    while time.monotonic() < end:
        for target in able:
            left = end - time.monotonic()
            if left <= 0:
                break
            seconds = min(_TURN_S, left, arguments.minutes * 60 / len(able))
            hunts[target.name] += turn(
                target, seconds, number, arguments.output, known[target.name]
            )
            number += 1_000_000
    total = sum(hunts.values())
    print(f"{total} cases, {total / arguments.minutes:.0f} a minute")
    found = sum(map(len, known.values()))
    print(f"{found} faults" if found else "no faults")
    return 1 if found else 0


def turn(target: Target, seconds: float, number: int, output: Path, known: set[str]) -> int:
    """Hunt in a child process; the number of cases. Adds what is found to `known`."""
    with tempfile.TemporaryDirectory(prefix="nginx-stream-lint-fuzz-") as name:
        folder = Path(name)
        watched, alive = os.pipe()  # closed when this process ends, however it does
        child = os.fork()
        if not child:
            os.close(alive)
            threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
            _hunt(target, seconds, number, output, known, folder)
        os.close(watched)
        status = _wait(child, seconds + _GRACE_S)
        os.close(alive)
        result, current = folder / "result", folder / "current"
        said = result.read_text().splitlines() if result.exists() else ["0"]
        new = set(said[1:])
        if status and current.exists():
            _, file, data = current.read_bytes().split(b"\n", 2)
            new.add(f"died-{abs(status)}")
            save(target, Case(file.decode(), data), f"died-{abs(status)}", output)
        for slug in sorted(new - known):
            print(f"{target.name}: {slug}", flush=True)
        known |= new
        print(f"{target.name}: {said[0]} cases in {seconds:.0f} s", flush=True)
        return int(said[0])


def _hunt(
    target: Target, seconds: float, number: int, output: Path, known: set[str], folder: Path
) -> None:
    """The child's part; does not return."""
    status = 1
    try:
        # For what no signal handler of Python's can stop.
        limit = int(seconds + _GRACE_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        tempfile.tempdir = str(folder)
        hunt = Hunt(target, output, folder / "current", set(known))
        hunt.run(seconds, number)
        (folder / "result").write_text("\n".join([str(hunt.cases), *sorted(hunt.known)]))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with(watched: int) -> None:
    """End this process when the other end of a pipe is closed."""
    os.read(watched, 1)
    os._exit(1)


def _wait(child: int, seconds: float) -> int:
    """A child's exit status when it ends; it is killed after so many seconds, or with us."""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        return -signal.SIGKILL
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    sys.exit(main())
