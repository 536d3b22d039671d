"""The locks in requirements/, and that all that installs uses them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.10.0", "3.11.0", "3.12.0", "3.13.0", "3.14.0")
PLATFORMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}


def pinned(name: str) -> list[Requirement]:
    """What a lock names, in its order."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return [
        Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[a-z0-9]", line)
    ]


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, those that it includes too."""
    found: list[Requirement] = []
    for one in PROJECT["dependency-groups"][name]:
        found += group(one["include-group"]) if isinstance(one, dict) else [Requirement(one)]
    return found


def needed(name: str) -> list[Requirement]:
    """The requirements in pyproject.toml that a lock is made from."""
    if name in ("build", "release", "systems"):
        return group(name)
    found = PROJECT["project"]["dependencies"]
    if name == "dev":
        extras = PROJECT["project"]["optional-dependencies"]
        return [*map(Requirement, found + extras["probe"] + extras["trace"]), *group("dev")]
    return [*map(Requirement, found)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_hashes_and_names_no_place(path: Path) -> None:
    """Not where packages come from: neither a host nor a folder of whoever made it."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-(?!-hash=)|\s/|@", text, re.MULTILINE)
    for entry in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        first, *hashes = entry.strip().split(" \\\n")
        assert re.match(r"[a-z0-9._-]+==[0-9][\w.!+]*( ; |$)", first), first
        assert hashes, first
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", one) for one in hashes), first


@pytest.mark.parametrize("name", [path.stem for path in LOCKS])
def test_a_lock_holds_what_pyproject_asks_for_everywhere(name: str) -> None:
    """`make lock` where this fails: pyproject.toml has changed."""
    for python in PYTHONS:
        for platform, system in PLATFORMS.items():
            environment = {
                **{name: str(value) for name, value in default_environment().items()},
                "python_version": python.rpartition(".")[0],
                "python_full_version": python,
                "sys_platform": platform,
                "platform_system": system,
                "os_name": "nt" if platform == "win32" else "posix",
                "platform_python_implementation": "CPython",
                "implementation_name": "cpython",
            }
            here = [
                (canonicalize_name(one.name), str(one.specifier).removeprefix("=="))
                for one in pinned(name)
                if one.marker is None or one.marker.evaluate(environment)
            ]
            versions = dict(here)
            assert len(versions) == len(here), "two versions of one package"
            for one in needed(name):
                if one.marker is None or one.marker.evaluate(environment):
                    version = versions[canonicalize_name(one.name)]
                    assert one.specifier.contains(version), f"{one}: {version}"


def test_the_locks_agree() -> None:
    """A package that two of them share is the same in both: they are installed together."""
    common = {str(one) for one in pinned("dev")}
    assert {str(one) for one in pinned("run") + pinned("build")} <= common


def test_the_build_is_that_of_pyproject() -> None:
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend in PROJECT["dependency-groups"]["build"]


def commands() -> dict[str, str]:
    """All that pip is told to install, by the file that says so and its number there."""
    texts = {"Dockerfile": (ROOT / "Dockerfile").read_text(encoding="utf-8")}
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = list(action["runs"]["steps"])
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        steps += [step for job in workflow["jobs"].values() for step in job["steps"]]
    for number, step in enumerate(steps):
        texts[f"step {number} {step.get('name')}"] = step.get("run", "")
    found = {}
    for name, text in texts.items():
        whole = re.sub(r"\\\n\s*", " ", text).replace('"${pip[@]}"', "pip install")
        for number, command in enumerate(re.split(r"&&|\n|;", whole)):
            if re.search(r"\bpip\b.*\b(install|wheel)\b", command) and "pip=(" not in command:
                found[f"{name} {number}"] = command
    return found


def test_nothing_is_installed_without_a_hash() -> None:
    found = commands()
    assert len(found) >= 6
    for place, command in found.items():
        assert "--no-deps" in command, place
        locked = "--require-hashes" in command and "--only-binary :all:" in command
        # This project itself, or the wheel just made of it.
        ours = "--no-build-isolation" in command or "--no-index" in command
        assert locked != ours, f"{place}: {command}"
        assert locked == ("requirements/" in command), place


def test_images_are_pinned_by_digest() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-alpine@sha256:[0-9a-f]{64}", images[0])
