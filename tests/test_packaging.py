"""What is built from this project, installed elsewhere: rules and tables are there, it works."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from nginx_stream_lint import __version__

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "requirements"
PACKAGE = ROOT / "src" / "nginx_stream_lint"
RULES = {path.name for path in (ROOT / "rules").glob("*.yaml")}
TABLES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.yaml")}


def _run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == status, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def _environment(folder: Path) -> Path:
    """A fresh virtual environment without anything in it; gives its Python."""
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def _install(python: Path, *what: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    _run(*pip, *what, cwd=python.parent)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of this project, and the wheel that is built from the sdist alone."""
    folder = tmp_path_factory.mktemp("build")
    python = _environment(folder / "env")
    _install(python, "--require-hashes", "--requirement", LOCKS / "build.txt")
    build = (python, "-m", "hatchling", "build", "--directory", folder / "dist", "--target")
    _run(*build, "sdist", cwd=ROOT)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    _run(*build, "wheel", cwd=folder / sdist.name.removesuffix(".tar.gz"))
    (wheel,) = (folder / "dist").glob("*.whl")
    return sdist, wheel


def test_sdist_has_what_a_build_and_a_reader_need(built: tuple[Path, Path]) -> None:
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert RULES
    assert {f"rules/{name}" for name in RULES} <= names
    assert {f"src/nginx_stream_lint/{name}" for name in TABLES} <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "fixtures/demo/nginx.conf"} <= names


def test_wheel_has_rules_tables_and_types(built: tuple[Path, Path]) -> None:
    _, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"nginx_stream_lint/rules/{name}" for name in RULES} <= names
    assert {f"nginx_stream_lint/{name}" for name in TABLES} <= names
    assert {"nginx_stream_lint/py.typed", "nginx_stream_lint/schema/settings.schema.json"} <= names


def test_installed_command_works_elsewhere(built: tuple[Path, Path], tmp_path: Path) -> None:
    _, wheel = built
    python = _environment(tmp_path / "env")
    _install(python, "--require-hashes", "--requirement", LOCKS / "run.txt")
    _install(python, "--no-deps", "--no-index", wheel)
    _run(sys.executable, "-m", "pip", "--python", python, "check", cwd=tmp_path)
    command = python.parent / "nginx-stream-lint"
    demo = ROOT / "fixtures" / "demo" / "nginx.conf"

    where = "from nginx_stream_lint.rules.shipped import builtin_folder as f; print(f())"
    folder = Path(_run(python, "-I", "-c", where, cwd=tmp_path).strip())
    assert folder.is_relative_to(tmp_path)
    assert {path.name for path in folder.glob("*.yaml")} == RULES

    compiled = (
        "from nginx_stream_lint.nginx.directives import table\n"
        "from nginx_stream_lint.nginx.directives_compiled import TABLE\n"
        "from nginx_stream_lint.rules.shipped import shipped_rules\n"
        "from nginx_stream_lint.rules.rules_compiled import RULES\n"
        "from nginx_stream_lint.streams.catalogue import apps\n"
        "from nginx_stream_lint.streams.catalogue_compiled import APPS\n"
        "print(table() is TABLE, shipped_rules() is RULES, apps() is APPS)"
    )
    assert _run(python, "-I", "-c", compiled, cwd=tmp_path).split() == ["True"] * 3

    report = json.loads(_run(command, demo, "--format", "json", cwd=tmp_path, status=1))
    assert report["summary"]["error"] > 0
    assert report["errors"] == []
    assert __version__ in _run(command, "--version", cwd=tmp_path)
