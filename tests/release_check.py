"""Build what a tag would publish, check it, install it and try it out: `make release-check`.

The exit status is 1 if something is wrong. At the end, this prints what only the owner can decide.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from hatch_build import with_absolute_links
from packaging.metadata import ExceptionGroup, Metadata

from nginx_stream_lint import __version__
from tests.checkout import ROOT, project_files

PACKAGE = "nginx_stream_lint"
DEMO = "fixtures/demo/nginx.conf"
TABLES = (
    "catalogue",
    "catalogue_index",
    "directives",
    "evidence",
    "gateway-fabric",
    "images",
    "ingress-nginx",
    "load_balancers",
    "nginx-org",
    "products",
    "reads",
    "rules",
)
# Quick tests that need neither nginx nor the network, for the unpacked sdist.
OWN_TESTS = (
    "tests/test_docs.py",
    "tests/test_locks.py",
    "tests/config/test_tree.py",
    "tests/rules/test_language.py",
    "tests/streams/test_find.py",
)
# Texts that name the version, with the surrounding words; README.md only until the release.
NAMED = {
    "pyproject.toml": r'^version = "([^"]+)"$',
    "CHANGELOG.md": r"\A(?s:.*?)^## \[(\d[^]]*)\]",
    "README.md": r"^Version (\S+) is not released yet",
    "man/nginx-stream-lint.1": r'^\.TH .*"nginx-stream-lint (\S+)"',
    "templates/gitlab.yml": r"nginx-stream-lint==([0-9.]+)",
}
BAD = """\
server {
    location /v1/chat/completions {
        proxy_pass http://127.0.0.1:8000;
    }
}
"""
GOOD = BAD.replace(
    "8000;\n",
    "8000;\n        proxy_http_version 1.1;\n        proxy_buffering off;\n"
    "        proxy_read_timeout 600s;\n",
)


class Failed(Exception):
    """A command failed; the message has its output."""


@dataclass(frozen=True)
class Built:
    """The two files of a release."""

    sdist: Path
    wheel: Path


def run(*command: str | Path, cwd: Path, status: int = 0, **environment: str) -> str:
    """Run a command. Returns its output. Raises Failed if it ends with another status."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != status:
        words = " ".join(map(str, command))
        raise Failed(f"{words}: exit status {done.returncode}, not {status}\n{done.stdout}")
    return done.stdout


def _environment() -> dict[str, str]:
    """The environment without variables that affect imports or the output of commands."""
    left_out = (
        *("PYTHON", "GIT_", "VIRTUAL_ENV", "PRE_COMMIT", "NGINX_STREAM_LINT"),
        *("COLUMNS", "FORCE_COLOR"),
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


# Building


def build(root: Path, folder: Path) -> Built:
    """The sdist of a checkout, and the wheel that is built from the sdist alone."""
    hatchling = (sys.executable, "-m", "hatchling", "build", "--directory", folder, "--target")
    run(*hatchling, "sdist", cwd=root)
    (sdist,) = folder.glob("*.tar.gz")
    run(*hatchling, "wheel", cwd=unpacked(sdist, folder / "unpacked"))
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist into a new folder. Returns the folder that contains pyproject.toml."""
    with tarfile.open(sdist) as archive:
        # The first releases of Python 3.10 and 3.11 do not support filters.
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    return folder / sdist.name.removesuffix(".tar.gz")


# Checks: each yields sentences that describe what is wrong.


def version_faults(root: Path) -> Iterator[str]:
    """Texts that name another version than the package."""
    for name, pattern in NAMED.items():
        text = (root / name).read_text(encoding="utf-8")
        found = re.findall(pattern, text, re.MULTILINE)
        if not found and name != "README.md":
            yield f"{name}: names no version where one is expected ({pattern})"
        wrong = [one for one in found if one != __version__]
        yield from (f"{name}: names version {one}, not {__version__}" for one in wrong)


def sdist_faults(sdist: Path, root: Path) -> Iterator[str]:
    """Files that the sdist lacks or that differ, and files that it should not contain."""
    wanted: dict[str, Path | None] = {name: root / name for name in project_files(root)}
    with tarfile.open(sdist) as archive:
        inside = {
            member.name.partition("/")[2]: file.read()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }
    yield from _differences(sdist.name, inside, wanted | {"PKG-INFO": None})


def wheel_faults(wheel: Path, root: Path) -> Iterator[str]:
    """Files that the wheel lacks or that differ, and files that it should not contain."""
    info = f"{PACKAGE}-{__version__}.dist-info"
    manual = f"{PACKAGE}-{__version__}.data/data/share/man/man1/nginx-stream-lint.1"
    wanted: dict[str, Path | None] = {
        f"{info}/{name}": None for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    wanted[f"{info}/licenses/LICENSE"] = root / "LICENSE"
    wanted[manual] = root / "man" / "nginx-stream-lint.1"
    # hatch_build.py makes them from YAML; tests/test_tables.py compares both.
    wanted |= {f"{PACKAGE}/tables/{name}.json": None for name in TABLES}
    for name in project_files(root):
        if name.startswith(f"src/{PACKAGE}/"):
            wanted[name.removeprefix("src/")] = root / name
        elif name.startswith(("rules/", "schema/")):
            wanted[f"{PACKAGE}/{name}"] = root / name
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    yield from _differences(wheel.name, inside, wanted)
    if f"{PACKAGE}/py.typed" not in inside:
        yield f"{wheel.name}: type checkers ignore the types of a package without py.typed"
    points = inside.get(f"{info}/entry_points.txt", b"").decode()
    if "nginx-stream-lint = nginx_stream_lint.__main__:main" not in points:
        yield f"{wheel.name}: does not install the command nginx-stream-lint"


def _differences(
    name: str, inside: dict[str, bytes], wanted: dict[str, Path | None]
) -> Iterator[str]:
    """The faults of the files in an archive; the build generates those without a path."""
    yield from (f"{name}: lacks {one}" for one in sorted(wanted.keys() - inside.keys()))
    yield from (f"{name}: should not have {one}" for one in sorted(inside.keys() - wanted.keys()))
    for one in sorted(inside.keys() & wanted.keys()):
        path = wanted[one]
        if path is not None and path.read_bytes() != inside[one]:
            yield f"{name}: {one} is not the project's"


def metadata(wheel: Path) -> Metadata:
    """The metadata that PyPI would show. Raises ExceptionGroup if it is invalid."""
    with zipfile.ZipFile(wheel) as archive:
        raw = archive.read(f"{PACKAGE}-{__version__}.dist-info/METADATA")
    return Metadata.from_email(raw, validate=True)


def metadata_faults(wheel: Path, root: Path) -> Iterator[str]:
    """Missing or wrong metadata; hatchling has already checked the classifiers."""
    try:
        found = metadata(wheel)
    except ExceptionGroup as group:
        yield from (f"metadata: {one}" for one in group.exceptions)
        return
    readme = (root / "README.md").read_text(encoding="utf-8")
    if found.project_urls and "Repository" in found.project_urls:
        readme = with_absolute_links(readme, found.project_urls["Repository"], __version__)
    pythons = [one.rpartition(" ")[2] for one in found.classifiers or () if ":: 3." in one]
    ci = yaml.safe_load((root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    expected: dict[str, tuple[object, object]] = {
        "name": (found.name, "nginx-stream-lint"),
        "version": (str(found.version), __version__),
        "licence": (found.license_expression, "MIT"),
        "licence files": (found.license_files, ["LICENSE"]),
        "type of the description": (found.description_content_type, "text/markdown"),
        "description": ((found.description or "").strip(), readme.strip()),
        "Pythons that CI runs": (ci["jobs"]["test"]["strategy"]["matrix"]["python"], pythons),
        "oldest Python": (str(found.requires_python), f">={pythons[0]}"),
        "types": ("Typing :: Typed" in (found.classifiers or ()), True),
        "extras": (sorted(found.provides_extra or ()), ["probe", "trace"]),
    }
    for name, (got, wanted) in expected.items():
        if got != wanted:
            yield f"metadata, {name}: {str(got)[:200]!r}, not {str(wanted)[:200]!r}"


# Trying out


def try_out(kind: str, file: Path, project: Path, folder: Path) -> None:
    """Install a file in a new environment, as users do, and run the demo with it.

    `project` is the folder with the demo. Raises Failed.
    """
    folder.mkdir()
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--disable-pip-version-check", file, cwd=folder)
    run(*pip, "check", cwd=folder)
    command = python.with_name("nginx-stream-lint")
    commands: tuple[tuple[str | Path, ...], ...] = ((command,), (python, "-I", "-m", PACKAGE))
    for words in commands:
        said = run(*words, "--version", cwd=folder)
        if __version__ not in said:
            raise Failed(f"{kind}: --version says {said!r}")
    run(python, "-I", "-c", f"from {PACKAGE} import Workspace, lint, explain", cwd=folder)
    run(command, "rules", "response-buffering", cwd=folder)
    demo = run(command, DEMO, cwd=project, status=1)
    readme = _text(project, "README.md")
    shown = re.search(r"<!-- shown -->\n```console\n[^\n]*\n(.*?)```", readme, re.DOTALL)
    if shown is None or _timeless(demo).strip() != _timeless(shown[1]).strip():
        raise Failed(f"{kind}: the demo does not print what the README shows:\n{demo}")


def _text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _timeless(text: str) -> str:
    return re.sub(r"\(\d+\.\d+ s\)", "(… s)", text)


def try_hook(kind: str, repository: dict[str, object], folder: Path) -> None:
    """Run the pre-commit hook in a user's repository: it rejects a bad file, not a good one.

    `repository` is an entry of `repos` in .pre-commit-config.yaml. Raises Failed.
    """
    (folder / "nginx").mkdir(parents=True)
    config = folder / ".pre-commit-config.yaml"
    config.write_text(yaml.safe_dump({"repos": [repository]}), encoding="utf-8")
    run("git", "init", "--quiet", cwd=folder)
    hook = (sys.executable, "-m", "pre_commit", "run", "--all-files")
    home = str(folder.with_name(f"{folder.name} home"))
    for text, status, words in ((BAD, 1, "error response-buffering"), (GOOD, 0, "Passed")):
        (folder / "nginx" / "app.conf").write_text(text, encoding="utf-8")
        run("git", "add", "--all", cwd=folder)
        said = run(*hook, cwd=folder, status=status, PRE_COMMIT_HOME=home)
        if words not in said:
            raise Failed(f"{kind}: the hook does not say {words!r}:\n{said}")


def as_hook_repository(project: Path) -> dict[str, object]:
    """Make the unpacked sdist a repository that pre-commit can clone."""
    tag = f"v{__version__}"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    run(*git, "init", "--quiet", cwd=project)
    run(*git, "add", "--all", cwd=project)
    run(*git, "commit", "--quiet", "--message", tag, cwd=project)
    run(*git, "tag", "--no-sign", tag, cwd=project)
    return {"repo": str(project), "rev": tag, "hooks": [{"id": "nginx-stream-lint"}]}


def as_local_hook(wheel: Path, root: Path) -> dict[str, object]:
    """The same hook, installed from a wheel."""
    hook = next(
        one
        for one in yaml.safe_load(_text(root, ".pre-commit-hooks.yaml"))
        if one["id"] == "nginx-stream-lint"
    )
    return {"repo": "local", "hooks": [hook | {"additional_dependencies": [str(wheel)]}]}


# Output


def published(built: Built, root: Path) -> Iterator[str]:
    """What a tag would publish, line by line."""
    found = metadata(built.wheel)
    yield f"A tag v{__version__} publishes on PyPI:"
    for file in (built.wheel, built.sdist):
        data = file.read_bytes()
        yield f"  {file.name}  {len(data) / 1024:.0f} KB"
        yield f"    sha256 {hashlib.sha256(data).hexdigest()}"
    needed = [str(one) for one in found.requires_dist or () if "extra" not in str(one)]
    yield f"  {found.name} {found.version}: {found.summary}"
    yield f"  licence {found.license_expression}, Python {found.requires_python}"
    yield f"  needs {', '.join(needed)}"
    yield f"  extras: {', '.join(found.provides_extra or ())}"
    yield "and signs for both: where they were built, and what they are made of (sbom.cdx.json)."
    start = _text(root, "CHANGELOG.md").index(f"## [{__version__}]")
    notes = _text(root, "CHANGELOG.md")[start:].split("\n## ")[0].strip()
    yield f"Its notes are the {len(notes.splitlines())} lines of CHANGELOG.md under {__version__}."


def left_to_the_owner(built: Built, root: Path) -> Iterator[str]:
    """Decisions that only the owner can make."""
    if not metadata(built.wheel).project_urls:
        yield "pyproject.toml has no [project.urls]: PyPI will show no address of the project"
    if "Repository" not in (metadata(built.wheel).project_urls or {}):
        links = re.findall(r"\]\((?!https?:|#)[^)]+\)", _text(root, "README.md"))
        yield (
            f"pyproject.toml has no Repository in [project.urls]: the picture and {len(links) - 1}"
            " links of the README lead nowhere on PyPI"
        )
    if "## [Unreleased]" in _text(root, "CHANGELOG.md"):
        yield f"CHANGELOG.md: move what is under [Unreleased] to {__version__}"
    if f"## [{__version__}] - unreleased" in _text(root, "CHANGELOG.md"):
        yield f'CHANGELOG.md: replace "unreleased" behind {__version__} by the date'
    if f"Version {__version__} is not released yet" in _text(root, "README.md"):
        yield 'README.md: say how to install the released version, under "Install"'
    yield "PyPI has to trust .github/workflows/release.yml, in its environment pypi"


def main() -> int:
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:4.0f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="nginx-stream-lint-release-") as name:
        folder = Path(name)
        try:
            built = build(ROOT, folder / "dist")
            say("built the sdist, and the wheel from the sdist alone")
            faults = [
                *version_faults(ROOT),
                *sdist_faults(built.sdist, ROOT),
                *wheel_faults(built.wheel, ROOT),
                *metadata_faults(built.wheel, ROOT),
            ]
            if faults:
                raise Failed("\n".join(faults))
            say("checked versions, contents and metadata")
            project = unpacked(built.sdist, folder / "project")

            def try_wheel() -> None:
                try_out("wheel", built.wheel, ROOT, folder / "with wheel")
                say("wheel: installed it, and ran the demo")
                try_hook("wheel", as_local_hook(built.wheel, ROOT), folder / "user of wheel")
                say("wheel: ran the pre-commit hook")

            def try_sdist() -> None:
                try_out("sdist", built.sdist, project, folder / "with sdist")
                say("sdist: installed it, and ran the demo")
                pytest = (sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider")
                run(*pytest, *OWN_TESTS, cwd=project, PYTHONPATH=str(project / "src"))
                say("sdist: ran some of its tests")
                try_hook("sdist", as_hook_repository(project), folder / "user of sdist")
                say("sdist: ran the pre-commit hook")

            with ThreadPoolExecutor() as pool:  # they mostly wait for PyPI
                for tried in [pool.submit(try_wheel), pool.submit(try_sdist)]:
                    tried.result()
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
        print(*published(built, ROOT), sep="\n")
        print("Left to the owner:", *left_to_the_owner(built, ROOT), sep="\n  - ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
