"""What is built from this project, installed elsewhere: rules and tables are there, it works.

`make release-check` tries out more, with whatever PyPI has; here all that is installed is locked.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from nginx_stream_lint import __version__
from tests import release_check
from tests.checkout import ROOT
from tests.release_check import Built, run

LOCKS = ROOT / "requirements"
RULES = {path.name for path in (ROOT / "rules").glob("*.yaml")}


def _install(python: Path, *what: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, *what, cwd=python.parent)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of this project, and the wheel that is built from the sdist alone."""
    return release_check.build(ROOT, tmp_path_factory.mktemp("build"))


def test_the_release_has_all_files_and_no_others(built: Built) -> None:
    assert list(release_check.sdist_faults(built.sdist, ROOT)) == []
    assert list(release_check.wheel_faults(built.wheel, ROOT)) == []


def test_metadata_and_versions_are_right(built: Built) -> None:
    assert list(release_check.metadata_faults(built.wheel, ROOT)) == []
    assert list(release_check.version_faults(ROOT)) == []


def test_the_readme_works_on_pypi(tmp_path: Path) -> None:
    """With the address of the repository, each link and the picture of the README is absolute."""
    repository = "https://example.com/owner/nginx-stream-lint"
    copy = tmp_path / "project"
    copy.mkdir()
    for name in ("README.md", "LICENSE", "hatch_build.py"):
        shutil.copy(ROOT / name, copy)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    urls = f'[project.urls]\nRepository = "{repository}"\n\n[project.scripts]'
    (copy / "pyproject.toml").write_text(project.replace("[project.scripts]", urls), "utf-8")
    shown = json.loads(run(sys.executable, "-m", "hatchling", "metadata", cwd=copy))["readme"]
    targets = re.findall(r"\]\(([^)]+)\)", shown["text"])
    assert len(targets) > 20
    for target in targets:
        assert target.startswith(f"{repository}/"), target
        kind, version, path = target.removeprefix(f"{repository}/").split("/", 2)
        assert (kind, version) == ("raw" if path.endswith(".png") else "blob", f"v{__version__}")
        assert (ROOT / path.partition("#")[0]).exists(), path


def test_what_would_be_published_is_said(built: Built) -> None:
    said = "\n".join(release_check.published(built, ROOT))
    assert f"A tag v{__version__} publishes" in said
    assert built.wheel.name in said
    assert built.sdist.name in said
    assert "crossplane" in said
    assert "brotli" not in said, "that belongs to the extras"


def test_faults_are_found(built: Built, tmp_path: Path) -> None:
    """A check that takes everything would prove nothing."""
    wheel = tmp_path / built.wheel.name
    with zipfile.ZipFile(built.wheel) as old, zipfile.ZipFile(wheel, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("METADATA"):
                data = data.replace(b"License-Expression: MIT", b"License-Expression: None of that")
            if name.endswith("request-buffering.yaml"):
                data += b"# changed\n"
            if not name.endswith(("py.typed", "recorded-stream.yaml")):
                new.writestr(name, data)
        new.writestr("tests/__init__.py", "")
    faults = "\n".join(release_check.wheel_faults(wheel, ROOT))
    assert "lacks nginx_stream_lint/py.typed" in faults
    assert "lacks nginx_stream_lint/rules/recorded-stream.yaml" in faults
    assert "should not have tests/__init__.py" in faults
    assert "nginx_stream_lint/rules/request-buffering.yaml is not the project's" in faults
    assert "license" in "".join(release_check.metadata_faults(wheel, ROOT)).lower()

    sdist = tmp_path / built.sdist.name
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(ROOT / "README.md", f"{sdist.name.removesuffix('.tar.gz')}/README.md")
    faults = "\n".join(release_check.sdist_faults(sdist, ROOT))
    assert "lacks rules/recorded-stream.yaml" in faults
    assert "lacks PKG-INFO" in faults

    for name in release_check.NAMED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8").replace(__version__, "9.9.9")
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = list(release_check.version_faults(tmp_path))
    assert {one.partition(": names version 9.9.9")[0] for one in found} == set(release_check.NAMED)


def test_installed_command_works_elsewhere(built: Built, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    _install(python, "--require-hashes", "--requirement", LOCKS / "run.txt")
    _install(python, "--no-deps", "--no-index", built.wheel)
    run(sys.executable, "-m", "pip", "--python", python, "check", cwd=tmp_path)
    command = python.parent / "nginx-stream-lint"
    demo = ROOT / "fixtures" / "demo" / "nginx.conf"

    where = "from nginx_stream_lint.rules.shipped import builtin_folder as f; print(f())"
    folder = Path(run(python, "-I", "-c", where, cwd=tmp_path).strip())
    assert folder.is_relative_to(tmp_path)
    assert {path.name for path in folder.glob("*.yaml")} == RULES

    tables = (
        "import sys\n"
        "from nginx_stream_lint.nginx.directives import table\n"
        "from nginx_stream_lint.rules.shipped import shipped_rules\n"
        "from nginx_stream_lint.streams.catalogue import apps\n"
        "print(bool(table() and shipped_rules() and apps()), 'yaml' in sys.modules)"
    )
    assert run(python, "-I", "-c", tables, cwd=tmp_path).split() == ["True", "False"]

    report = json.loads(run(command, demo, "--format", "json", cwd=tmp_path, status=1))
    assert report["summary"]["error"] > 0
    assert report["errors"] == []
    assert __version__ in run(command, "--version", cwd=tmp_path)
