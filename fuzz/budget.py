"""Limits for one case: processor time and memory of this process, not time on the clock."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

# A case takes some 10 ms. Coverage tracing makes it a few times slower, this many seconds do not.
CPU_S = 10.0
# On top of what the process has.
MEMORY_BYTES = 500 * 1024 * 1024

_AGAIN_S = 0.2
_STATM = Path("/proc/self/statm")


class OverBudget(AssertionError):
    """A case took too much processor time or memory."""


class _TimeIsUp(BaseException):
    """Raised inside a case; no `except Exception` there may catch it."""


def _stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _TimeIsUp


@contextlib.contextmanager
def bounded(cpu_s: float = CPU_S, memory_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """Raise OverBudget where the body takes more; restores the limits. For the main thread only.

    Memory is bounded where the system counts address space (Linux).
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, _stop)
    try:
        if _STATM.exists():
            pages = int(_STATM.read_text().split()[0])
            most = pages * resource.getpagesize() + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
        # It rings again: where the first one is lost, as in a destructor, the next one is not.
        signal.setitimer(signal.ITIMER_PROF, cpu_s, _AGAIN_S)
        yield
    except _TimeIsUp:
        signal.setitimer(signal.ITIMER_PROF, 0)
        raise OverBudget(f"more than {cpu_s:g} s of processor time") from None
    except MemoryError:
        raise OverBudget(f"more than {memory_bytes >> 20} MB of memory") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)
