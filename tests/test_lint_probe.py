"""`lint --probe` and `--fix --probe`: findings and fixes measured on a real nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.probe import NginxBinary
from tests.command import findings, run_here

TEXT = """events {}
http {
    server {
        listen 80;
        listen 443 ssl;
        ssl_certificate a.crt;
        ssl_certificate_key a.key;
        location /v1/chat/completions {
            proxy_pass http://127.0.0.1:8000;
        }
        location /events {
            proxy_pass http://127.0.0.1:8000;
            proxy_buffering off;
        }
    }
}
"""
ONLY = ("--select", "response-buffering")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    return path


def test_findings_are_confirmed(conf: Path, binary: NginxBinary) -> None:
    (one,) = findings(conf, "--probe", "--nginx", binary.path, *ONLY)
    version = ".".join(map(str, binary.version))
    assert one["severity"] == "error"
    assert f"Confirmed on nginx {version}: it stalls for" in one["message"]
    assert conf.read_text() == TEXT


def test_what_this_nginx_does_otherwise_is_refuted(
    conf: Path, binaries: dict[str, NginxBinary]
) -> None:
    conf.write_text(TEXT.replace("listen 443 ssl;", ""))
    new = binaries["new"].path
    (one,) = findings(conf, "--probe", "--nginx", new, "--nginx-version", "1.22.1", *ONLY)
    assert one["severity"] == "note"
    assert "Refuted on nginx" in one["message"]
    (other,) = findings(conf, "--probe", "--nginx", new, *ONLY)
    assert other["severity"] == "warning"
    assert "it streams today for plain HTTP/1.1 clients" in other["message"]


def test_fixes_are_measured_before_they_are_written(conf: Path, binary: NginxBinary) -> None:
    done = run_here(conf, "--fix", "--probe", "--nginx", binary.path, *ONLY)
    assert done.returncode == 0, done.stderr
    assert conf.read_text().count("proxy_buffering off;") == 2


def test_a_location_that_is_no_stream_may_buffer_after_a_fix(
    conf: Path, binary: NginxBinary
) -> None:
    site = "location / { proxy_pass http://127.0.0.1:8000; }"
    conf.write_text(TEXT.replace("location /events", f"{site}\n        location /events"))
    done = run_here(conf, "--fix", "--probe", "--nginx", binary.path, *ONLY)
    assert done.returncode == 0, done.stderr
    fixed = conf.read_text()
    assert fixed.count("proxy_buffering off;") == 2
    assert site in fixed


def test_a_fix_need_not_mend_what_rules_that_are_left_out_report(
    conf: Path, binary: NginxBinary
) -> None:
    other = ("--select", "short-read-timeout")
    done = run_here(conf, "--fix", "--probe", "--nginx", binary.path, *other)
    assert done.returncode == 0, done.stderr
    assert conf.read_text().count("proxy_read_timeout 300s;") == 2


def test_a_copy_that_does_not_run_is_a_clear_sentence(conf: Path, tmp_path: Path) -> None:
    done = run_here(conf, "--probe", "--nginx", tmp_path / "nginx.conf")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(conf) in done.stderr


SOCKETS = """events {}
http {
    map $http_upgrade $right { default upgrade; "" close; }
    server {
        listen 80;
        proxy_http_version 1.1;
        proxy_read_timeout 1h;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $right;
        location /ws/good { proxy_pass http://127.0.0.1:8000; }
        location /ws/bad {
            proxy_pass http://127.0.0.1:8000;
            proxy_set_header Upgrade $http_upgrade;
        }
        location /ws/unknown {
            proxy_pass http://127.0.0.1:8000;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $request_id;
        }
        location /ws/old { proxy_pass http://127.0.0.1:8000; proxy_http_version 1.0; }
    }
}
"""


def test_handshakes_are_measured_also_where_nothing_is_said(
    conf: Path, binary: NginxBinary
) -> None:
    conf.write_text(SOCKETS)
    said = findings(conf)
    assert [one["location"]["label"] for one in said] == ["location /ws/bad", "location /ws/old"]
    version = ".".join(map(str, binary.version))
    measured = {
        one["location"]["label"]: (one["severity"], one["message"])
        for one in findings(conf, "--probe", "--nginx", binary.path)
    }
    assert list(measured) == ["location /ws/bad", "location /ws/unknown", "location /ws/old"]
    severity, message = measured["location /ws/bad"]
    assert severity == "error"
    assert message.endswith(f"Confirmed on nginx {version}: a handshake gets status 400")
    assert measured["location /ws/unknown"] == (
        "error",
        f"WebSocket handshakes fail here: on nginx {version} one gets status 400",
    )
    severity, message = measured["location /ws/old"]
    assert severity == "warning"
    assert message.endswith("a handshake gets through to an app that accepts it")
