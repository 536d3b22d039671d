"""Probes of chains: a real nginx for each tier, and the verdict that `explain` expects."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.command import run
from tests.report.schemas import check_document

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.probe import NginxBinary, NginxError
from nginx_stream_lint.probe.probe_model import PassedOn, ProbeRequest, ProbeResult
from nginx_stream_lint.probe.run import probe

COMPOSE = """services:
  edge:
    image: nginx:stable
    volumes: ["./edge.conf:/etc/nginx/nginx.conf"]
  web:
    image: nginx:stable
    volumes: ["./web.conf:/etc/nginx/nginx.conf"]
  api:
    image: vllm/vllm-openai:latest
"""
EDGE = """events {}
http {
    %(http)s
    server {
        listen 80;
        listen 443 ssl;
        ssl_certificate c.pem;
        ssl_certificate_key k.pem;
        location / {
            proxy_pass %(target)s;
            proxy_http_version 1.1;
            proxy_read_timeout 1h;
            %(rows)s
        }
    }
}
"""
WEB = """events {}
http {
    server { listen 8080 default_server; location / { return 404; } }
    server {
        %(listen)s
        server_name web;
        ssl_certificate c.pem;
        ssl_certificate_key k.pem;
        location /v1/ {
            # nginx-stream-lint: stream sse x_accel_buffering=no
            proxy_pass http://api:8000;
            proxy_http_version 1.1;
            proxy_read_timeout 1h;
            %(rows)s
        }
    }
}
"""
URL = "/v1/chat/completions"
WAY = ["web.conf:9", "edge.conf:9"]


def written(
    folder: Path,
    edge: str = "",
    web: str = "",
    *,
    target: str = "http://web:8080",
    http: str = "",
    listen: str = "listen 8080;",
    of_web: str = "",
) -> Path:
    """A project with a deployment: edge in front of web, in front of the app."""
    texts = {
        "compose.yaml": COMPOSE,
        "edge.conf": EDGE % {"rows": edge, "target": target, "http": http},
        "web.conf": WEB % {"rows": web, "listen": f"{listen} {of_web}"},
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / ".git").mkdir()
    return folder


def probed(folder: Path, binary: NginxBinary, *arguments: str) -> list[dict[str, Any]]:
    """The results of a probe, as JSON."""
    words = arguments or ("edge.conf", URL)
    quick = ("--tokens", "16", "--interval", "0.03", "--format", "json")
    told = run("probe", *words, "--nginx", binary.path, *quick, cwd=folder)
    assert told.stderr == "", told.stderr
    document = json.loads(told.stdout)
    check_document("probe", document)
    results: list[dict[str, Any]] = document["results"]
    assert told.returncode == any(one["verdict"] != "streams" for one in results)
    return results


def explained(folder: Path, binary: NginxBinary, *arguments: str) -> dict[str, Any]:
    """What `explain` says of the same URL, for the version of the nginx that is measured."""
    version = ".".join(map(str, binary.version))
    (folder / ".nginx-stream-lint.yaml").write_text(f'nginx_version: "{version}"\n')
    told = run("explain", *(arguments or ("edge.conf", URL)), "--format", "json", cwd=folder)
    assert told.returncode == 0, told.stderr
    one: dict[str, Any] = json.loads(told.stdout)[0]
    return one


def places(one: dict[str, Any]) -> list[str]:
    return [f"{tier['file']}:{tier['line']}" for tier in one["tiers"]]


def assert_agree(results: list[dict[str, Any]], explanation: dict[str, Any]) -> None:
    """Fail where `explain` expects another way, or another verdict of a client."""
    names = ("client", "framing", "x_accel_buffering", "accept_encoding")
    expected = {
        tuple(each[name] for name in names): each["verdict"] for each in explanation["deliveries"]
    }
    assert results
    for one in results:
        assert places(one) == places(explanation), one
        assert one["verdict"] == expected[tuple(one[name] for name in names)], one


def by_client(results: list[dict[str, Any]]) -> dict[str, str]:
    return {one["client"]: one["verdict"] for one in results}


def test_an_outer_nginx_stalls_without_the_header_and_streams_with_the_fix(
    binary: NginxBinary, tmp_path: Path
) -> None:
    folder = written(tmp_path)
    asked = ("edge.conf", URL, "--x-accel-buffering", "no")
    before = probed(folder, binary, *asked)
    assert places(before[0]) == WAY
    assert before[0]["location"] == {"label": "location /", "file": "edge.conf", "line": 9}
    assert by_client(before)["h1-tls"] == "stalls"
    assert_agree(before, explained(folder, binary))

    fix = ("--fix", "--select", "swallowed-accel-header")
    told = run("edge.conf", "web.conf", *fix, cwd=folder)
    assert "proxy_pass_header X-Accel-Buffering;" in (folder / "web.conf").read_text(), told.stdout

    after = probed(folder, binary, *asked)
    assert by_client(after) == dict.fromkeys(("h1", "h1-tls"), "streams")
    assert_agree(after, explained(folder, binary))


@pytest.mark.parametrize(
    ("edge", "web", "options"),
    [
        ("", "", {}),
        ("proxy_buffering off;", "", {}),
        ("proxy_buffering off;", "proxy_buffering off;", {}),
        ("chunked_transfer_encoding off;", "chunked_transfer_encoding off;", {}),
        ("proxy_buffering off;", "gzip on; gzip_types *; gzip_proxied any;", {}),
        # Blocks inherit a header that the next nginx obeys.
        ("", "", {"of_web": "add_header X-Accel-Buffering no;"}),
        # The name of a group is the header Host, which chooses the server of the next nginx.
        (
            "proxy_buffering off;",
            "proxy_buffering off;",
            {"http": "upstream web { zone web 64k; server web:8080; }", "target": "http://web"},
        ),
        (
            "proxy_buffering off; proxy_ssl_verify off;",
            "proxy_buffering off;",
            {"target": "https://web:8443/v1/", "listen": "listen 8443 ssl;"},
        ),
        (
            "proxy_buffering off;",
            "proxy_buffering off;",
            {
                "http": "resolver 127.0.0.11;",
                "target": "http://web:8080$request_uri",
            },
        ),
    ],
)
def test_a_chain_does_what_explain_says(
    edge: str, web: str, options: dict[str, str], binary: NginxBinary, tmp_path: Path
) -> None:
    folder = written(tmp_path, edge, web, **options)
    scenarios = ("--x-accel-buffering", "no", "--x-accel-buffering", "absent", "--gzip")
    found = probed(folder, binary, "edge.conf", URL, *scenarios)
    assert len(found) == 4
    assert places(found[0]) == WAY
    assert_agree(found, explained(folder, binary))


def test_two_ports_of_a_host_lead_to_two_sockets(binary: NginxBinary, tmp_path: Path) -> None:
    folder = written(tmp_path, listen="listen 8080; listen 8081;")
    text = (folder / "edge.conf").read_text()
    other = "location /v1/b { proxy_pass http://web:8081; } location / {"
    (folder / "edge.conf").write_text(text.replace("location / {", other))
    words = ("edge.conf", "/v1/a", "/v1/b", "--client", "h1", "--tokens", "3", "--format", "json")
    told = run("probe", *words, "--nginx", binary.path, cwd=folder)
    document = json.loads(told.stdout)
    assert [places(one)[:1] for one in document["results"]] == [["web.conf:9"]] * 2
    # Both cannot have the same name. One socket has a single server, which takes any.
    [row] = [each["text"] for each in document["changes"] if "gets the Host" in each["why"]]
    assert row == "proxy_pass http://web:8081"
    assert [one["status"] for one in document["results"]] == [200] * 2


@pytest.mark.parametrize("named", ["option", "settings"])
def test_a_chain_is_named(named: str, binary: NginxBinary, tmp_path: Path) -> None:
    folder = written(tmp_path, "proxy_buffering off;", target="http://web.internal:8080")
    (folder / "compose.yaml").unlink()
    alone = probed(folder, binary)
    assert places(alone[0]) == ["edge.conf:9"]
    words = ["web.conf", URL]
    if named == "option":
        words += ["--through", "edge.conf"]
    else:
        (folder / ".nginx-stream-lint.yaml").write_text("tiers: [web.conf, edge.conf]\n")
    # The name of the next server is not that of the target, so its default server responds.
    found = probed(folder, binary, *words)
    assert {(one["verdict"], one["status"]) for one in found} == {("no-stream", 404)}
    assert [places(one) for one in found] == [["web.conf:3", "edge.conf:9"]] * 2
    text = (folder / "edge.conf").read_text().replace("web.internal", "web")
    (folder / "edge.conf").write_text(text)
    assert [places(one) for one in probed(folder, binary, *words)] == [WAY] * 2


def test_the_text_names_each_nginx_and_what_is_not_measured(
    binaries: dict[str, NginxBinary], tmp_path: Path
) -> None:
    folder = written(tmp_path, "proxy_buffering off;")
    words = ("web.conf", "--through", "edge.conf", "--through", "cloudflare", "/v1/chat")
    told = run("probe", *words, "--nginx", binaries["new"].path, "--tokens", "4", cwd=folder)
    lines = told.stdout.splitlines()
    at = lines.index("  edge.conf:9: location /")
    assert lines[at + 1] == "    passes to web.conf:9: location /v1/"
    assert "not measured: cloudflare (only nginx is measured)" in lines
    assert told.returncode == 0, told.stdout


def test_a_way_back_is_refused(binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    folder = written(tmp_path)
    text = (folder / "web.conf").read_text().replace("http://api:8000", "http://edge:80/other/")
    (folder / "web.conf").write_text(text)
    told = run("probe", "edge.conf", URL, "--nginx", binaries["new"].path, cwd=folder)
    assert told.returncode == 2
    assert "a request returns to an nginx that it has passed" in told.stderr


def passed_on(front: Path, behind: Path) -> PassedOn:
    """The requests that the only location of one configuration passes to another."""
    configurations = [read(str(one)) for one in (front, behind)]
    handler = next(one.handler for one in build(configurations[0]).walk() if one.handler)
    target = PassTarget("http", "web", 8080, True)
    return PassedOn(configurations[0], handler.directive, target, configurations[1], "*:8080")


def children() -> set[int]:
    """The processes that this one has started, and theirs."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_copy_has_a_sandbox_of_its_own(
    binary: NginxBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_CI", "secret")
    attack = f"load_module {tmp_path}/evil.so; error_log {tmp_path}/written;"
    folder = written(tmp_path, "proxy_buffering off;", f"alias /etc/; access_log {tmp_path}/log;")
    web = folder / "web.conf"
    web.write_text(attack + web.read_text())
    seen: dict[str, dict[str, str]] = {}

    def look(*_: int) -> None:
        for one in children():
            at = Path("/proc") / str(one)
            if os.readlink(at / "exe") == os.path.realpath(binary.path):
                rows = (row.split(":", 1) for row in (at / "status").read_text().splitlines())
                seen[os.readlink(at / "cwd")] = {key: value.strip() for key, value in rows}
                assert b"SECRET" not in (at / "environ").read_bytes()

    async def measured() -> ProbeResult:
        one = passed_on(folder / "edge.conf", web)
        request = ProbeRequest("/v1/chat", {"h1": "*:80"}, path="/v1/chat")
        scenario = Scenario("h1")
        # Told of progress while every nginx runs.
        return await probe(
            one.front, [request], [scenario], binary, tokens=3, on_progress=look, passed_on=[one]
        )

    result = asyncio.run(measured())
    assert [len(one.tiers) for one in result.outcomes] == [2]
    assert len(seen) == 2  # two nginx, in two folders
    for status in seen.values():
        assert status["NoNewPrivs"] == "1"
        assert status["CapEff"].strip("0") == ""
        assert "0" not in status["Uid"].split()
    assert not (tmp_path / "written").exists()
    assert not (tmp_path / "log").exists()
    removed = {one.name for one in result.changes if one.file == str(web)}
    assert {"load_module", "error_log", "access_log"} <= removed
    assert children() == set()


def test_a_chain_has_an_end(binary: NginxBinary, tmp_path: Path) -> None:
    folder = written(tmp_path)
    rows = [passed_on(folder / "edge.conf", folder / "web.conf") for _ in range(9)]
    request = ProbeRequest("/", {"h1": "*:80"})
    with pytest.raises(NginxError, match="19 nginx instances; at most 16 are run"):
        asyncio.run(probe(read(str(folder / "edge.conf")), [request], [], binary, passed_on=rows))
