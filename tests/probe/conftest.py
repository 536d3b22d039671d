"""Real nginx for the tests: an old one and a new one, each skipped where it is not installed."""

from __future__ import annotations

import pytest

from nginx_stream_lint.probe import NginxBinary, find_nginx

# From here on `proxy_pass` speaks HTTP/1.1 upstream by default.
NEW = (1, 29, 7)


@pytest.fixture(scope="session")
def binaries() -> dict[str, NginxBinary]:
    """`old` (before 1.29.7) and `new`, as far as this machine has them."""
    return {"new" if one.version >= NEW else "old": one for one in find_nginx()}


@pytest.fixture(scope="session", params=["old", "new"])
def age(request: pytest.FixtureRequest, binaries: dict[str, NginxBinary]) -> str:
    """Run a test once with each nginx."""
    if request.param not in binaries:
        pytest.skip(f"no {request.param} nginx on this machine")
    return str(request.param)


@pytest.fixture(scope="session")
def binary(age: str, binaries: dict[str, NginxBinary]) -> NginxBinary:
    """Return the nginx of this age."""
    return binaries[age]
