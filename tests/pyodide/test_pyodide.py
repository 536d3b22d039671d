"""The wheel and its dependencies in a real Pyodide say what they say in CPython.

Run by `make test-pyodide` alone: it needs node, and installs Pyodide with npm.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

MAIN = """\
events {}

http {
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      close;
    }
    server {
        listen 443 ssl;
        # Größe unbekannt
        location /v1/chat/completions {
            gzip on;
            proxy_pass http://127.0.0.1:8000;
        }
        location ~* "^/ws/(?<room>[a-z]{2,8})/?$" {
            proxy_pass http://127.0.0.1:8000;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }
    }
}
"""
TEMPLATE = """\
upstream app {
    server {{ app_host }}:{{ app_port | default(8000) }};
}

server {
    listen 443 ssl;
    server_name {{ name }};
{% if compress %}
    gzip on;
    gzip_types text/event-stream;
{% endif %}
    location ~ ^/api/(?<kind>chat|completions)/stream$ {
        proxy_pass http://app;
        proxy_read_timeout {{ timeout }};
    }
}
"""
TEXTS = {
    "/work/nginx.conf": MAIN,
    "/work/site.conf.j2": TEMPLATE,
    "/work/ingress.yaml": (ROOT / "fixtures/kubernetes/ingress.yaml").read_text("utf-8"),
}


def _run(*command: str | Path, cwd: Path = HERE) -> None:
    # On Windows npm is a script, which has to be named with its whole path.
    words = [shutil.which(command[0]) or str(command[0]), *map(str, command[1:])]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this project and what it needs.

    PyYAML and MarkupSafe are there with what was compiled for this machine; Pyodide cannot load
    that and takes their Python instead. msgspec is compiled only: its extension for Pyodide lies
    beside the one for this machine.
    """
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheel", ROOT)
    (wheel,) = (folder / "wheel").glob("*.whl")
    install = (*pip, "install", "--no-deps", "--target", folder / "site")
    _run(*install, "--require-hashes", "--requirement", ROOT / "requirements" / "run.txt")
    _run(*install, wheel)
    locked = (ROOT / "requirements" / "run.txt").read_text("utf-8")
    (msgspec,) = re.findall(r"^msgspec==(?:.*\\\n)*.*\n", locked, re.MULTILINE)
    (folder / "msgspec.txt").write_text(msgspec, "utf-8")
    _run(
        *pip, "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--implementation", "cp", "--python-version", "314", "--abi", "cp314",
        "--platform", "pyemscripten_2026_0_wasm32",
        "--dest", folder / "pyodide", "--requirement", folder / "msgspec.txt",
    )  # fmt: skip
    (compiled,) = (folder / "pyodide").glob("*.whl")
    zipfile.ZipFile(compiled).extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module", autouse=True)
def _pyodide() -> None:
    """Install Pyodide as it is locked."""
    _run("npm", "ci", "--no-audit", "--no-fund")


def test_pyodide_says_what_cpython_says(site: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(TEXTS), "utf-8")
    program = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); del sys.argv[0]"
    program += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    python = (sys.executable, "-I", "-c", program, site, HERE / "lint_texts.py")
    _run(*python, texts, tmp_path / "cpython.json")
    _run("node", HERE / "run.mjs", site, texts, tmp_path / "pyodide.json")
    expected = (tmp_path / "cpython.json").read_bytes()
    assert (tmp_path / "pyodide.json").read_bytes() == expected
    report = json.loads(expected)
    assert {finding["file"] for finding in report["findings"]} == set(TEXTS)
    assert report["summary"]["error"] > 1
