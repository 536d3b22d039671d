"""The probe measures whatever `explain` explains, and both say the same of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command import run

from nginx_stream_lint.probe import NginxBinary

QUICK = ("--client", "h1", "--tokens", "10", "--interval", "0.03")
HELD = "location /v1/chat/completions { proxy_pass http://app:8000; }"
SENT = HELD.replace(" }", " proxy_http_version 1.1; proxy_buffering off; }")
SERVER = "server {{ listen 80; server_name a.example.com; {} }}\n"
# Its controller takes HTTP/1.1 to the app, so that pieces pass the buffer.
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: llm
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
spec:
  rules:
    - host: a.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Prefix
            backend: {service: {name: app, port: {number: 8000}}}
"""
HEAD = "# configuration file /etc/nginx/"
KINDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "site": ("app.conf", SERVER, ()),
    "template": ("app.conf.template", SERVER.replace("80;", "${{PORT}};"), ()),
    "dump": (
        "dump.txt",
        HEAD + "nginx.conf:\nevents {{}}\nhttp {{ include /etc/nginx/conf.d/*.conf; }}\n"
        f"{HEAD}conf.d/a.conf:\n{SERVER}",
        (),
    ),
    "config-map": ("cm.yaml", f"kind: ConfigMap\ndata:\n  a.conf: |\n    {SERVER}", ()),
    "document": ("app.md", f"# App\n\n```nginx\n{SERVER}```\n", ("--markdown",)),
}

# One nginx is enough: the older one, where more is held.
OLD = pytest.mark.parametrize("age", ["old"], indirect=True)


@OLD
@pytest.mark.parametrize("kind", [*KINDS, "standard input", "ingress"])
def test_it_agrees_with_explain(kind: str, tmp_path: Path, binary: NginxBinary) -> None:
    url = "http://a.example.com/v1/chat/completions"
    verdict = "streams" if kind in ("template", "ingress") else "stalls"
    name, text, options = KINDS.get(kind, KINDS["site"])
    text = text.format(HELD if verdict == "stalls" else SENT)
    if kind == "ingress":
        name, text = "ingress.yaml", INGRESS
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    conf, stdin = ("-", text.encode()) if kind == "standard input" else (str(path), b"")
    options = (*options, "--format", "json")
    version = ".".join(map(str, binary.version))
    said = run("explain", conf, url, "--nginx-version", version, *options, stdin=stdin)
    explained: dict[str, Any]
    [explained] = json.loads(said.stdout)
    probed = run("probe", conf, url, *QUICK, "--nginx", binary.path, *options, stdin=stdin)
    assert probed.stderr == ""
    [measured] = json.loads(probed.stdout)["results"]
    [usual] = [
        one
        for one in explained["deliveries"]
        if (one["client"], one["framing"]) == ("h1", "chunked")
        and (one["x_accel_buffering"], one["accept_encoding"]) == ("absent", "identity")
    ]
    assert measured["verdict"] == usual["verdict"] == verdict
    assert measured["location"]["file"] == explained["location"]["file"]
    assert measured["location"]["line"] == explained["location"]["line"]
    assert probed.returncode == (0 if verdict == "streams" else 1)


@OLD
def test_the_configuration_with_streams_is_measured(tmp_path: Path, binary: NginxBinary) -> None:
    (tmp_path / "a.conf").write_text(SERVER.format("location / { return 404; }"))
    (tmp_path / "b.conf").write_text(SERVER.format(SENT))
    done = run("probe", tmp_path, *QUICK, "--nginx", binary.path, "--format", "json")
    [measured] = json.loads(done.stdout)["results"]
    assert measured["location"]["file"].endswith("b.conf")


@OLD
def test_a_site_is_measured_as_its_main_file_includes_it(
    tmp_path: Path, binary: NginxBinary
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text(
        "events {}\nhttp { proxy_http_version 1.1; proxy_buffering off; include conf.d/*.conf; }\n"
    )
    (tmp_path / "conf.d" / "a.conf").write_text(SERVER.format(HELD))
    # This nginx does not know that directive, but nobody asked about the file.
    (tmp_path / "conf.d" / "b.conf").write_text("server { listen 81; http2 on; }\n")
    path = tmp_path / "conf.d" / "a.conf"
    done = run("probe", path, *QUICK, "--nginx", binary.path, "--format", "json")
    assert done.stderr == ""
    [measured] = json.loads(done.stdout)["results"]
    assert measured["verdict"] == "streams"
    assert run("probe", tmp_path / "conf.d" / "b.conf", "--nginx", binary.path).returncode == 2


def test_what_has_no_nginx_in_it(tmp_path: Path) -> None:
    for name, text in (("values.yaml", "a: b\n"), ("a.md", "# A\n")):
        (tmp_path / name).write_text(text)
        done = run("probe", tmp_path / name)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr
