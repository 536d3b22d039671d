"""Where the linter runs: the action, the GitLab job, the container, workflows, shells, man page.

Scripts inside YAML are run as they are; what only GitHub or Docker can run is checked by linters
and schemas.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from nginx_stream_lint.cli import cli
from tests import manpage
from tests.report.schemas import CHECKS

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load(
    (ROOT / "templates" / "gitlab.yml").read_text(encoding="utf-8")
)
BIN = Path(sys.executable).parent
CONF = "server { location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; } }\n"
SILENT = "server { location / { return 200; } }\n"


def tool(*command: str | Path) -> None:
    """Run a tool of this environment, which must find nothing."""
    done = subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    tool("zizmor", "--offline", "--persona", "auditor", ".github", "action.yml")


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-actions", [ROOT / "action.yml"]),
        ("vendor.gitlab-ci", [ROOT / "templates" / "gitlab.yml"]),
    ],
)
def test_schemas(schema: str, files: list[Path]) -> None:
    assert files
    transform = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    tool("check-jsonschema", "--builtin-schema", schema, *transform, *files)


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for name, comment in used:
        if name != "./":
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), name
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name


def test_the_same_action_is_the_same_everywhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*WORKFLOWS, ROOT / "action.yml")]
    texts.append((ROOT / "docs" / "integration.md").read_text(encoding="utf-8"))
    commits: dict[str, set[str]] = {}
    for name, commit in re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", "".join(texts)):
        commits.setdefault(name, set()).add(commit)
    assert len(commits) > 5
    assert {name for name, found in commits.items() if len(found) > 1} == set()


def test_workflows_have_the_least_permissions() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert "permissions" in job
            assert "timeout-minutes" in job


def test_ci_runs_every_python_that_is_promised() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == promised


# The action


def check(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """The action's check step as a runner starts it, and its outputs."""
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")
    temporary = folder / "runner temp"
    (temporary / "nginx-stream-lint").mkdir(parents=True, exist_ok=True)
    link = temporary / "nginx-stream-lint" / "bin"
    if not link.exists():
        link.symlink_to(BIN)
    values = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | inputs
    environment = {
        name: values[re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", r"\1", value)]
        for name, value in step["env"].items()
    }
    output = folder / "output"
    output.write_text("")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=os.environ
        | environment
        | {
            "RUNNER_TEMP": str(temporary),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, dict(line.split("=", 1) for line in output.read_text().splitlines())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "app.conf").write_text(CONF)
    (tmp_path / "silent.conf").write_text(SILENT)
    return tmp_path


def test_the_action_installs_from_the_locks(tmp_path: Path) -> None:
    """As a runner does it, in a repository that would like its own code to be run."""
    for name in ("venv", "pip", "random", "hatchling", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('was-run', 'w')\n")
    step = next(step for step in ACTION["runs"]["steps"] if "Install" in step.get("name", ""))
    temporary = tmp_path / "runner temp"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(temporary),
            "GITHUB_ACTION_PATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "was-run").exists()
    python = temporary / "nginx-stream-lint" / "bin" / "python"
    listed = subprocess.run(
        [python, "-I", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    installed = dict(line.split("==") for line in listed.stdout.splitlines())
    assert "nginx-stream-lint" in installed
    locks = (ROOT / "requirements").glob("*.txt")
    text = "".join(lock.read_text(encoding="utf-8") for lock in locks).lower()
    for name in installed.keys() - {"nginx-stream-lint", "setuptools"}:
        assert f"\n{name}=={installed[name]}".lower().replace("_", "-") in text


def test_the_action_checks_everything_by_default(repository: Path) -> None:
    done, outputs = check(repository)
    assert done.returncode == 0, done.stderr
    assert outputs["exit-status"] == "1"
    assert "::error file=a b/app.conf,line=1," in done.stdout
    assert "response-buffering" in (repository / "summary.md").read_text()
    text = Path(outputs["sarif-file"]).read_text()
    CHECKS["sarif"](text)
    (location, *_) = json.loads(text)["runs"][0]["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/app.conf"


def test_the_inputs_of_the_action(repository: Path) -> None:
    paths = "\nsilent.conf\na b/app.conf\n"
    arguments = "--ignore\nresponse-buffering,short-read-timeout\n"
    done, outputs = check(repository, paths=paths, args=arguments, html="page.html")
    assert outputs["exit-status"] == "0"
    assert "::warning" in done.stdout
    assert "::error" not in done.stdout
    CHECKS["html"]((repository / "page.html").read_text())
    new = {"nginx-version": "1.29.7", "fail-on": "warning"}
    done, outputs = check(repository, paths=paths, args=arguments, **new)
    assert outputs["exit-status"] == "0"
    assert done.stdout == ""
    _, outputs = check(repository, paths=paths, **new)
    assert outputs["exit-status"] == "1"
    (repository / ".nginx-stream-lint.yaml").write_text("ignore: no-such-rule\n")
    assert check(repository, paths=paths)[1]["exit-status"] == "2"
    assert check(repository, paths=paths, isolated="true")[1]["exit-status"] == "1"


def test_the_action_maps_folders_to_those_of_nginx(tmp_path: Path) -> None:
    """Each line of `mounts` is one option, with blanks and all."""
    main = tmp_path / "nginx.conf"
    main.write_text(
        "events {}\nhttp {\n    include /srv/sites/*.conf;\n    include /srv/more/*.conf;\n}\n"
    )
    for folder in ("web sites", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.conf").write_text(CONF)
    done, outputs = check(tmp_path, paths="nginx.conf")
    assert outputs["exit-status"] == "2"
    mounts = "/srv/sites=web sites\n\n/srv/more=b\n"
    done, outputs = check(tmp_path, paths="nginx.conf", mounts=mounts)
    assert outputs["exit-status"] == "1", done.stderr
    for folder in ("web sites", "b"):
        assert f"::error file={folder}/app.conf,line=1," in done.stdout
    # What is no folder here is told.
    done, outputs = check(tmp_path, paths="nginx.conf", mounts="/srv/sites=nowhere")
    assert outputs["exit-status"] == "2"
    assert 'there is no file or folder "nowhere"' in done.stderr


def test_the_action_takes_inputs_for_what_they_are(repository: Path) -> None:
    done, outputs = check(repository, paths="$(touch stolen); `touch stolen`\n--fix")
    assert outputs["exit-status"] == "2"
    assert "Traceback" not in done.stderr
    assert not (repository / "stolen").exists()
    assert (repository / "a b" / "app.conf").read_text() == CONF
    # No log of this run: there is nothing to upload.
    (repository / "runner temp" / "nginx-stream-lint.sarif").unlink(missing_ok=True)
    _, outputs = check(repository, args="--no-such-option")
    assert outputs == {"exit-status": "2"}


def test_docs_name_the_inputs_and_outputs_of_the_action() -> None:
    text = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| (.*?) ?\|$", text, re.MULTILINE))
    assert set(rows) == set(ACTION["inputs"])
    for name, one in ACTION["inputs"].items():
        if one["default"]:
            assert f"`{one['default']}`" in rows[name]
    for name in ACTION["outputs"]:
        assert f"`{name}`" in text


# GitLab


def test_the_gitlab_job(repository: Path) -> None:
    job = GITLAB["nginx-stream-lint"]
    command = job["script"][-1].replace("/tmp/nginx-stream-lint/bin", str(BIN))
    variables = job["variables"] | {
        "NGINX_STREAM_LINT_PATHS": "silent.conf",
        "NGINX_STREAM_LINT_ARGS": "--nginx-version 1.26.2 --all-streams",
    }

    def start(**changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=repository,
            env=os.environ | variables | changed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = start()
    assert done.returncode == 0, done.stderr
    # In a folder: a list of words cannot hold a name with a blank.
    failed = start(NGINX_STREAM_LINT_PATHS=". silent.conf")
    assert failed.returncode == 1, failed.stderr
    reports = job["artifacts"]["reports"]
    issues = (repository / reports["codequality"]).read_text()
    CHECKS["gitlab"](issues)
    assert json.loads(issues)[0]["location"]["path"] == "a b/app.conf"
    CHECKS["junit"]((repository / reports["junit"]).read_text())
    (page,) = job["artifacts"]["paths"]
    CHECKS["html"]((repository / page).read_text())


def test_the_gitlab_job_says_what_to_install() -> None:
    """Nothing is released yet, so no name of a package would do."""
    job = GITLAB["nginx-stream-lint"]
    guard, *_ = job["script"]

    def start(package: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", guard],
            env=os.environ | job["variables"] | {"NGINX_STREAM_LINT_PACKAGE": package},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    missing = start(job["variables"]["NGINX_STREAM_LINT_PACKAGE"])
    assert missing.returncode != 0
    assert "NGINX_STREAM_LINT_PACKAGE: set it to what pip installs" in missing.stderr
    assert start(str(ROOT)).returncode == 0
    shown = re.search(
        r"NGINX_STREAM_LINT_PACKAGE: (\S+)", (ROOT / "docs/integration.md").read_text("utf-8")
    )
    assert shown is not None
    assert shown[1].startswith("git+https://")
    for path in ("README.md", "docs/integration.md", "docs/index.md"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not re.search(r"pipx? install (?!'?\.)|uvx (?!--from \.)|rev: v|ref: v", text), path


# The container


def test_the_container_gets_what_it_needs_and_is_nobody() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[0] == "*"
    copied = [
        line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]
    names = [name for group in copied for name in group]
    assert {"pyproject.toml", "README.md", "LICENSE", "requirements", "src", "rules"} <= set(names)
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 65534:65534"]
    assert lines.index(users[0]) > max(at for at, line in enumerate(lines) if "COPY" in line)


def test_the_container_installs_what_works(tmp_path: Path) -> None:
    """The first stage, as it is: what it copies and locks is enough to build the package from."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    source = tmp_path / "src"
    source.mkdir()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            *names, _ = shlex.split(line)[1:]
            for name in names:
                subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    (at,) = (number for number, line in enumerate(lines) if line.startswith("RUN "))
    script = "\n".join(lines[at : lines.index("", at)]).removeprefix("RUN ")
    script = re.sub(r"(?<= )/src", str(source), script).replace("/opt/", f"{tmp_path}/opt/")
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    environment = tmp_path / "opt" / "nginx-stream-lint"
    demo = ROOT / "fixtures" / "demo" / "nginx.conf"
    command = [environment / "bin" / "nginx-stream-lint", demo]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 1
    (target,) = environment.glob("lib/python*/site-packages")
    assert not (target / "pip").exists()
    assert not (target / "hatchling").exists()
    assert (target / "nginx_stream_lint" / "rules" / "measured.json").is_file()
    assert (target / "nginx_stream_lint" / "report" / "page.html").is_file()
    assert list(environment.rglob("man1/nginx-stream-lint.1"))


# Shells and the man page


def complete(*words: str, shell: str = "bash") -> list[str]:
    """What a shell would offer for the last word."""
    done = subprocess.run(
        [BIN / "nginx-stream-lint"],
        env=os.environ
        | {
            "_NGINX_STREAM_LINT_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(["nginx-stream-lint", *words]),
            "COMP_CWORD": str(len(words)) if shell != "fish" else words[-1],
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [line.split(",")[-1] for line in done.stdout.splitlines()]


def test_completion() -> None:
    assert "--format" in complete("--for")
    assert "--format" in complete("nginx.conf", "--for")
    assert complete("--format", "sa") == ["sarif"]
    assert "explain" in complete("ex")
    assert complete("rules", "response-") == ["response-buffering"]
    assert "--root" in complete("explain", "--ro")


def test_a_real_bash_completes(tmp_path: Path) -> None:
    script = (
        f'PATH="{BIN}:$PATH"; eval "$(nginx-stream-lint completion bash)";'
        " COMP_WORDS=(nginx-stream-lint --format sa); COMP_CWORD=2;"
        ' _nginx_stream_lint_completion nginx-stream-lint; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "sarif"
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    command = [str(BIN / "nginx-stream-lint"), "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert f"_NGINX_STREAM_LINT_COMPLETE={shell}_complete" in done.stdout


def test_the_man_page_is_that_of_the_command() -> None:
    text = manpage.FILE.read_text(encoding="utf-8")
    assert text == manpage.man_page(), "make docs"
    plain = text.replace("\\-", "-")
    for _, command in manpage.commands(click.Context(cli)):
        for parameter in command.params:
            for option in parameter.opts:
                assert option in plain or not option.startswith("-"), option
    # A dot or a quote at the start of a line would be a request to roff.
    assert set(re.findall(r"^\.(\w+)", text, re.MULTILINE)) == {
        "TH",
        "SH",
        "SS",
        "PP",
        "TP",
        "BR",
        "br",
    }
    assert not re.search("^'", text, re.MULTILINE)
