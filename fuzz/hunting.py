"""A hunt: one target for some seconds, on random cases, failures saved as reproducers."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky

from fuzz.reproducers import check, reduced, save, signature
from fuzz.seeds import Case
from fuzz.targets import Target

_ROUND = 200  # cases, between two looks at the clock


@dataclass(slots=True)
class Hunt:
    """What a hunt is about and what it has found.

    Attributes:
        folder: where reproducers go.
        current: a file with the case that is being checked, for who finds this process dead.
        known: signatures of faults that need no second reproducer.
    """

    target: Target
    folder: Path
    current: Path
    known: set[str] = field(default_factory=set)
    cases: int = 0
    found: list[Path] = field(default_factory=list)

    def run(self, seconds: float, number: int) -> None:
        """Check random cases, drawn from a seed, until the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round(number, end)
            number += 1

    def round(self, number: int, end: float = math.inf) -> None:
        """Check some hundred cases, or fewer where the time is over before or one fails."""
        failed: list[tuple[Case, str]] = []

        def attempt(case: Case) -> None:
            if time.monotonic() < end and (failure := self._failure(case)):
                failed.append((case, failure))
                raise AssertionError(failure)

        drawn = given(self.target.cases(True))(attempt)
        # Flaky: it failed once and not again, since something is remembered now.
        with contextlib.suppress(AssertionError, Flaky):
            seed(number)(_SETTINGS(drawn))()
        if failed:
            case, failure = failed[0]
            small = case
            if self._failure(case) == failure:
                small = reduced(case, lambda other: self._failure(other) == failure)
            self.found.append(save(self.target, small, failure, self.folder))
            self.known.add(failure)

    def _failure(self, case: Case) -> str:
        """The signature of what is wrong with a case; empty for what is right or known."""
        self.cases += 1
        self.current.write_bytes(f"{self.target.name}\n{case.name}\n".encode() + case.data)
        try:
            check(self.target, case)
        except Exception as error:
            name = signature(error)
            return "" if name in self.known else name
        return ""


# Cases are made smaller by `reduced`, which knows them as text.
_SETTINGS = settings(
    max_examples=_ROUND,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
    verbosity=Verbosity.quiet,
)
