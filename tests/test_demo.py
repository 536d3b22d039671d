"""The shipped example: nginx takes it, and each kind of thing in it is told apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from nginx_stream_lint.probe import check_file, find_nginx
from nginx_stream_lint.probe.certificate import write_certificate

DEMO = Path(__file__).resolve().parents[1] / "fixtures" / "demo"


def _copy(folder: Path) -> Path:
    """A copy of the demo with what nginx wants to find around it; gives its main file."""
    copy = folder / "demo"
    shutil.copytree(DEMO, copy)
    (copy / "logs").mkdir()
    (copy / "certs").mkdir()
    chain, key = write_certificate(copy / "certs", "app.example.com")
    chain.rename(copy / "certs" / "app.example.com.crt")
    key.rename(copy / "certs" / "app.example.com.key")
    main = copy / "nginx.conf"
    main.write_text(main.read_text().replace("/etc/nginx/", f"{copy}/"))
    return main


def _lint(main: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nginx_stream_lint", str(main), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_every_nginx_takes_the_demo_before_and_after_fixing(tmp_path: Path) -> None:
    binaries = find_nginx()
    assert binaries
    main = _copy(tmp_path)
    for binary in binaries:
        ok, said = check_file(binary, main)
        assert ok, said

    before = json.loads(_lint(main, "--format", "json").stdout)
    assert before["summary"]["error"] >= 3
    _lint(main, "--fix")
    after = json.loads(_lint(main, "--format", "json").stdout)
    assert after["summary"]["error"] == 0, after["findings"]
    for binary in binaries:
        ok, said = check_file(binary, main)
        assert ok, said


def test_each_location_of_the_demo_is_told_apart() -> None:
    done = _lint(DEMO / "nginx.conf", "--format", "json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["errors"] == []
    worst: dict[str, str] = {}
    for finding in report["findings"]:
        assert Path(finding["file"]).name == "app.conf"
        label, severity = finding["location"]["label"], finding["severity"]
        if worst.get(label) != "error":
            worst[label] = severity
    assert {label for label, severity in worst.items() if severity == "error"} == {
        "location /v1/chat/completions",
        "location /events",
        "location = /import/log.php",
    }
    assert worst.get("location /", "warning") == "warning"
    assert "location /agent/stream" not in worst
    assert "location /ws/" not in worst
