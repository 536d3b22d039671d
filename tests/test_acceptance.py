"""What the product promises, through the real command and on real nginx."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from nginx_stream_lint.probe import (
    DrippingUpstream,
    Job,
    Nginx,
    NginxBinary,
    free_ports,
    measure_many,
    write_certificate,
)
from tests.command import findings, run_here

BARE = """events {}
http {
    server {
        LISTEN
        location /v1/chat/completions {
            proxy_pass http://127.0.0.1:8000;
        }
    }
}
"""
PLAIN = "listen 80;"
TLS = "listen 443 ssl; ssl_certificate certificate.pem; ssl_certificate_key key.pem;"

BEST_PRACTICE = """events { worker_connections 1024; }
http {
    gzip on;
    gzip_types text/event-stream application/json;
    upstream app { server 127.0.0.1:8000; keepalive 16; }
    server {
        listen 80;
        listen 443 ssl http2;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        location /v1/chat/completions {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_buffering off;
            proxy_cache off;
            proxy_read_timeout 3600s;
            proxy_send_timeout 3600s;
            add_header X-Accel-Buffering no;
        }
    }
}
"""


def put(folder: Path, text: str) -> Path:
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def severities(found: list[dict[str, object]]) -> dict[str, str]:
    return {str(finding["rule"]): str(finding["severity"]) for finding in found}


def test_a_bare_location_is_one_error(tmp_path: Path) -> None:
    found = findings(put(tmp_path, BARE.replace("LISTEN", PLAIN)), status=1)
    assert severities(found) == {
        "response-buffering": "error",
        "short-read-timeout": "error",
    }
    assert "plain HTTP/1.1" in found[0]["message"]


def test_with_the_new_defaults_it_is_a_warning(tmp_path: Path) -> None:
    path = put(tmp_path, BARE.replace("LISTEN", PLAIN))
    found = findings(path, "--nginx-version", "1.29.7", status=1)
    assert severities(found)["response-buffering"] == "warning"
    assert "old-upstream-http" not in severities(found)


def test_with_tls_it_is_an_error_for_http_1_clients(tmp_path: Path) -> None:
    path = put(tmp_path, BARE.replace("LISTEN", TLS))
    found = findings(path, "--nginx-version", "1.29.7", status=1)
    first = next(finding for finding in found if finding["rule"] == "response-buffering")
    assert first["severity"] == "error"
    assert "HTTP/1.1-over-TLS" in first["message"]
    assert "HTTP/2" not in first["message"]


def test_one_switch_at_http_level_is_enough(tmp_path: Path) -> None:
    text = BARE.replace("http {", "http {\n    proxy_buffering off;")
    found = findings(put(tmp_path, text.replace("LISTEN", PLAIN)), "--all-streams", status=1)
    assert set(severities(found)) == {"short-read-timeout", "old-upstream-http"}


def test_best_practice_is_silent(tmp_path: Path) -> None:
    path = put(tmp_path, BEST_PRACTICE)
    for version in ("1.22.1", "1.29.7"):
        assert findings(path, "--nginx-version", version, status=0) == []
    assert findings(path, status=0) == []
    assert findings(path, "--all-streams", status=0) == []


@pytest.mark.parametrize("select", [(), ("--select", "response-buffering")])
def test_fixed_files_stream_on_real_nginx(
    select: tuple[str, ...], binaries: dict[str, NginxBinary], tmp_path: Path
) -> None:
    original = BARE.replace("LISTEN", f"{PLAIN} {TLS}")
    path = put(tmp_path, original)
    done = run_here(path, "--fix", *select)
    assert done.returncode == 0, done.stdout
    text = path.read_text()
    added = [line for line in text.splitlines() if line not in original.splitlines()]
    if select:
        assert added == ["            proxy_http_version 1.1;", "            proxy_buffering off;"]
    assert len(text.splitlines()) == len(original.splitlines()) + len(added)
    if not select:
        assert findings(path, status=0) == []

    async def verdicts(binary: NginxBinary, folder: Path) -> list[str]:
        write_certificate(folder)
        plain, tls = free_ports(2)
        http2 = "http2 on;" if binary.version >= (1, 25, 1) else ""
        async with DrippingUpstream() as upstream:
            real = (
                text.replace("listen 80;", f"listen 127.0.0.1:{plain}; {http2}")
                .replace("443 ssl", f"127.0.0.1:{tls} ssl" + ("" if http2 else " http2"))
                .replace("127.0.0.1:8000", f"127.0.0.1:{upstream.ports['http']}")
            )
            async with Nginx(binary, real, folder):
                jobs = [
                    Job(
                        upstream,
                        plain if client == "h1" else tls,
                        "/v1/chat/completions",
                        client,
                        expected="streams",
                    )
                    for client in ("h1", "h1-tls", "h2")
                ]
                return [result.verdict for result in await measure_many(jobs)]

    for age, binary in binaries.items():
        folder = tmp_path / age
        folder.mkdir()
        assert asyncio.run(asyncio.wait_for(verdicts(binary, folder), 60)) == ["streams"] * 3


def test_diff_is_what_fix_does(tmp_path: Path) -> None:
    path = put(tmp_path, BARE.replace("LISTEN", PLAIN))
    shown = run_here(path, "--diff")
    assert path.read_text() == BARE.replace("LISTEN", PLAIN)
    patch = shutil.which("git")
    assert patch is not None
    (tmp_path / "fix.patch").write_text(shown.stdout)
    added = [line[1:] for line in shown.stdout.splitlines() if line[:1] == "+" and line[1:2] != "+"]
    run_here(path, "--fix")
    text = path.read_text()
    assert added
    assert all(line in text.splitlines() for line in added)
    again = run_here(path, "--diff")
    assert again.stdout == ""


def test_declared_by_settings_comment_and_option(tmp_path: Path) -> None:
    text = BARE.replace("LISTEN", PLAIN).replace("/v1/chat/completions", "/quiet")
    path = put(tmp_path, text)
    assert severities(findings(path, status=0)) == {}
    assert severities(findings(path, "--stream", "/quiet/one", status=1))["response-buffering"]
    (tmp_path / ".nginx-stream-lint.yaml").write_text(
        "streams:\n  - path: /quiet\n    x_accel_buffering: no\n    heartbeat: 15s\n"
    )
    assert set(severities(findings(path, status=0))) == {"old-upstream-http"}
    (tmp_path / ".nginx-stream-lint.yaml").unlink()
    put(tmp_path, text.replace("proxy_pass", "# nginx-stream-lint: stream\n            proxy_pass"))
    assert findings(path, status=1)[0]["stream"]["confidence"] == "declared"
