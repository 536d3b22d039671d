"""Where reports go, through the real command: several at once, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import run
from tests.report.schemas import CHECKS

CONF = "server { location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; } }\n"
COMMAND = f"{sys.executable} -m nginx_stream_lint"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(CONF)
    return path


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def test_several_formats_at_once(main: Path) -> None:
    targets = [f"{name}={name}.out" for name in CHECKS if name != "concise"]
    options = [word for target in ("concise", *targets) for word in ("--format", target)]
    done = run("nginx.conf", *options, cwd=main.parent)
    assert done.returncode == 1
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
    for target in targets:
        name, _, file = target.partition("=")
        text = (main.parent / file).read_text()
        CHECKS[name](text)
        assert "response-buffering" in text
    assert {path.name for path in main.parent.iterdir()} == {
        "nginx.conf",
        *(target.partition("=")[2] for target in targets),
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "sraif"], 'did you mean "sarif"'),
        (["--format", "text", "--format", "json"], "cannot both go to standard output"),
        (["--format", "sarif=a", "--format", "json=a"], "cannot both go to a"),
        (["--format", "json=a", "--output", "b"], "--format NAME=FILE"),
        (["--format", "json", "--format", "text=a", "--output", "b"], "--format NAME=FILE"),
    ],
)
def test_targets_that_make_no_sense(main: Path, options: list[str], said: str) -> None:
    done = run("nginx.conf", *options, cwd=main.parent)
    assert done.returncode == 2
    assert said in done.stderr
    assert {path.name for path in main.parent.iterdir()} == {"nginx.conf"}


@pytest.mark.parametrize("target", ["no/such/folder/out", "/dev/full", "."])
@pytest.mark.parametrize("how", ["--output={}", "--format=sarif={}"])
def test_a_file_that_cannot_be_written(main: Path, how: str, target: str) -> None:
    done = run("nginx.conf", how.format(target), cwd=main.parent)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{target}:1:1: cannot be written (")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in main.parent.iterdir()} == {"nginx.conf"}


def test_one_target_that_fails_does_not_keep_the_others(main: Path) -> None:
    done = run(
        *("nginx.conf", "--format", "json=no/such", "--format", "concise", "--format", "sarif=out"),
        cwd=main.parent,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("no/such:1:1: cannot be written")
    assert "response-buffering" in done.stdout
    CHECKS["sarif"](main.with_name("out").read_text())
    full = shell(f"{COMMAND} nginx.conf --format text --format json=later >/dev/full", main.parent)
    assert full.returncode == 2
    assert json.loads(main.with_name("later").read_text())["findings"]


def test_a_pipe_is_written_to_as_it_is(main: Path) -> None:
    done = shell(
        f"{COMMAND} nginx.conf --format concise --format sarif=>(cat >through.sarif); sleep 0.2",
        main.parent,
    )
    assert "response-buffering" in done.stdout
    CHECKS["sarif"](main.with_name("through.sarif").read_text())
    direct = shell(f"{COMMAND} nginx.conf --format json=/dev/stdout | cat", main.parent)
    assert json.loads(direct.stdout)["findings"]


def test_a_report_takes_the_place_of_an_older_one(main: Path) -> None:
    old = main.with_name("old.json")
    old.write_text("old")
    old.chmod(0o640)
    link = main.with_name("link.json")
    link.symlink_to(old)
    run("nginx.conf", "--format", "json=link.json", cwd=main.parent)
    assert link.is_symlink()
    assert json.loads(old.read_text())["findings"]
    assert old.stat().st_mode & 0o777 == 0o640
    new = main.with_name("new.json")
    run("nginx.conf", "--format", "json=new.json", cwd=main.parent)
    umask = os.umask(0)
    os.umask(umask)
    assert new.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("options", ["", "--format sarif", "--exit-zero", "--help", "--diff"])
def test_a_reader_that_leaves_is_no_mistake(main: Path, options: str) -> None:
    expected = shell(f"{COMMAND} nginx.conf {options} >out", main.parent).returncode
    # `true` never reads: the pipe is closed before anything is written.
    done = shell(f"{COMMAND} nginx.conf {options} | true; echo ${{PIPESTATUS[0]}}", main.parent)
    assert done.stderr == ""
    if options != "--help":  # click ends that with 1
        assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize("options", ["", "--format sarif", "--help", "--diff"])
def test_a_full_disk_is_one_sentence(main: Path, options: str) -> None:
    done = shell(f"{COMMAND} nginx.conf {options} >/dev/full", main.parent)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    silent = shell(f"{COMMAND} missing.conf >/dev/full 2>/dev/full", main.parent)
    assert silent.returncode == 2


def test_a_terminal_that_knows_few_characters(main: Path) -> None:
    main.write_text(CONF.replace("/v1", "/\u4e2d/v1"))
    done = shell(f"PYTHONIOENCODING=latin-1 {COMMAND} nginx.conf", main.parent)
    assert done.returncode == 1
    assert "\\u4e2d" in done.stdout


def test_github_gets_a_table(main: Path) -> None:
    summary = main.with_name("summary.md")
    summary.write_text("# before\n")
    done = shell(
        f"GITHUB_STEP_SUMMARY=summary.md {COMMAND} nginx.conf --format github", main.parent
    )
    assert done.returncode == 1
    assert done.stdout.count("::error ") == 2
    text = summary.read_text()
    assert text.startswith("# before\n## nginx-stream-lint\n")
    assert "| error | `response-buffering` |" in text
    # Only where it is wanted: a run for people leaves the file alone.
    shell(f"GITHUB_STEP_SUMMARY=summary.md {COMMAND} nginx.conf", main.parent)
    assert summary.read_text() == text
    lost = shell(f"GITHUB_STEP_SUMMARY=no/such {COMMAND} nginx.conf --format github", main.parent)
    assert lost.returncode == 2
    assert "Traceback" not in lost.stderr
