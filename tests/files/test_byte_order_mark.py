"""Files with a byte order mark, which YAML and Markdown allow and nginx refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.command import run_here

MARK = b"\xef\xbb\xbf"
LOCATION = "location /events {\n    proxy_pass http://a;\n}\n"
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: caf\u00e9
  annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "30"}
spec:
  ingressClassName: nginx
  rules:
    - host: a.example
      http:
        paths:
          - path: /events
            pathType: Prefix
            backend: {service: {name: web, port: {number: 80}}}
"""
BLOCK = "data:\n  app.nginx: |\n" + "".join(f"    {line}\n" for line in LOCATION.splitlines())
FLOW = (
    '{"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "\u00e9",'
    ' "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "30"}}, "spec": {'
    '"ingressClassName": "nginx", "rules": [{"host": "a.example", "http": {"paths": [{"path":'
    ' "/events", "pathType": "Prefix", "backend": {"service": {"name": "web"}}}]}}]}}'
)
DOCUMENTS = [
    pytest.param("a.yaml", INGRESS, id="an Ingress"),
    pytest.param("a.yaml", f"---\n{BLOCK}", id="text in YAML"),
    pytest.param("a.json", FLOW, id="on the first line"),
    pytest.param("a.md", f"```nginx\n{LOCATION}```\n", id="Markdown"),
]


@pytest.mark.parametrize(("name", "text"), DOCUMENTS)
def test_a_document_is_the_same_with_a_mark(name: str, text: str, tmp_path: Path) -> None:
    """Places are those of an editor, which hides the mark. Edits are offsets into the file."""
    reports: list[bytes] = []
    for mark in (b"", MARK):
        path = tmp_path / name
        path.write_bytes(mark + text.encode())
        done = run_here(name, "--markdown", "--format", "json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        report = json.loads(done.stdout)
        report["summary"]["seconds"] = 0
        edits = [edit for one in report["findings"] if one["fix"] for edit in one["fix"]["edits"]]
        assert edits
        fixed = path.read_text(encoding="utf-8")  # the mark is its first character
        order = sorted(range(len(edits)), key=lambda at: (edits[at]["start"], at), reverse=True)
        for edit in (edits[at] for at in order):
            fixed = fixed[: edit["start"]] + edit["text"] + fixed[edit["end"] :]
            edit["start"] -= len(mark.decode())
            edit["end"] -= len(mark.decode())
        reports.append(json.dumps(report).encode())

        patch = run_here(name, "--markdown", "--diff", cwd=tmp_path).stdout
        copy = tmp_path / "copy"
        copy.mkdir(exist_ok=True)
        (copy / name).write_bytes(mark + text.encode())
        patched = ["git", "apply", "-"]
        subprocess.run(patched, cwd=copy, input=patch.encode(), check=True, timeout=60)

        run_here(name, "--markdown", "--fix", cwd=tmp_path)
        assert path.read_bytes() == (copy / name).read_bytes() == fixed.encode()
        assert path.read_bytes().startswith(mark)
    assert reports[0] == reports[1]


@pytest.mark.parametrize("name", ["a.conf", "a.conf.j2", "-"])
def test_nginx_text_with_a_mark_is_refused(name: str, tmp_path: Path) -> None:
    text = MARK + f"events {{}}\nhttp {{ server {{ {LOCATION} }} }}\n".encode()
    (tmp_path / "a.conf").write_bytes(text)
    (tmp_path / "a.conf.j2").write_bytes(text)
    done = run_here(name, cwd=tmp_path, stdin=text)
    assert done.returncode == 2
    assert ":1:1: starts with a byte order mark, which nginx reads" in done.stderr


def test_an_included_file_with_a_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("events {}\nhttp { include conf.d/*.conf; }\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_bytes(MARK + f"server {{ {LOCATION} }}".encode())
    done = run_here("nginx.conf", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("conf.d/a.conf:1:1: starts with a byte order mark")
