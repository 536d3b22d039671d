"""YAML as hostile people, and strange tools, write it: right places, right fixes, no traceback."""

from __future__ import annotations

import pytest

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_checked
from tests.kubernetes.manifests import ingress

BLOCK = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
data:
  nginx.conf: |
    events {}
    http { server { location /v1/chat/completions {
      proxy_pass http://app;
    } } }
"""
INGRESS = ingress({"nginx.org/proxy-read-timeout": "3600s"})
TEXTS = {"block": BLOCK, "ingress": INGRESS}
# What each text's findings about buffering point at, and what their fixes write.
PLACES = {"block": "location /v1/chat/completions", "ingress": "path: /v1/chat/completions"}
WRITTEN = {"block": "proxy_buffering off;", "ingress": 'nginx.org/proxy-buffering: "False"'}

# The same to YAML: what stands before a text, and what is replaced in it.
SAME = {
    "nothing": ("", "", ""),
    "directive": ("%YAML 1.1\n---\n", "", ""),
    "directive 1.2": ("%YAML 1.2\n---\n", "", ""),
    "directive and comments": ("# one\n\n%YAML 1.1\n# two\n\n--- # three\n", "", ""),
    "tags": ("%TAG ! tag:example.com,2000:\n%TAG !e! tag:example.com,2000:e\n---\n", "", ""),
    "tag that is used": ("%TAG !e! tag:example.com,2000:e\n---\n", "kind: ", "kind: !e!x "),
    "end of a document": ("a: b\n...\n%YAML 1.1\n---\n", "", ""),
    "empty documents": ("---\n...\n---\n---\n", "", ""),
    "CR LF": ("", "\n", "\r\n"),
    "NEL in a word": ("", "kind: ", "x: a\x85  b\nkind: "),
    "LS in a comment": ("# a \u2028# b\n", "", ""),
    "PS in quotes": ('a: "b\u2029  c"\n', "", ""),
    "tab": ("", "kind: ", "kind:\t"),
    "comments": ("", "metadata:", "metadata: # {: [\n"),
    "anchor": ("", "metadata:", "metadata: &m"),
    "alias of itself": ("x: &x [*x, {y: *x}]\n", "", ""),
    "merge with itself": ("x: &x {<<: *x, y: z}\n", "", ""),
    "keys that are no words": ("? [a, {b: c}]\n: d\n? |\n  e\n: f\n", "", ""),
    "long key": (f"? {'x' * 5000}\n: y\n", "", ""),
    "long line": (f"x: '{'y' * 300_000}'\n", "", ""),
    "numbers": (f"n: {'9' * 5000}\nm: 0x{'f' * 5000}\nd: 2020-99-99\no: 1:2:3\n", "", ""),
    "types": ("s: !!set {a}\no: !!omap [a: b]\np: !!python/object:os.system {}\n", "", ""),
    "outside of the plane": ("\U0001f600: \u00e9\u4eac # \U0001f600\n", "", ""),
    "no UTF-8": ("x: \udcff\udcfe\n", "", ""),
    "keys twice": ("kind: Service\nkind: [Pod]\n", "", ""),
}


def checked(text: str) -> tuple[Workspace, Result]:
    workspace = Workspace.in_memory({"a.yaml": text})
    return workspace, lint(workspace, options=Options(all_streams=True))


def fixed(workspace: Workspace) -> str:
    options = Options(all_streams=True)
    done = fix_checked(lambda texts: lint(workspace.overlaid(texts), options=options), unsafe=True)
    assert done.refused == []
    [(_, after)] = done.changed.values()
    return after.text


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", SAME)
def test_what_is_the_same_to_yaml(name: str, kind: str) -> None:
    before, old, new = SAME[name]
    text = before + (TEXTS[kind].replace(old, new) if old else TEXTS[kind])
    workspace, report = checked(text)
    assert report.problems == []
    [finding] = [one for one in report.findings if one.rule == "response-buffering"]
    place = finding.place
    assert text[place.start : place.end] == PLACES[kind]
    assert place.line == text.count("\n", 0, place.start) + 1
    after = fixed(workspace)
    rows, rest = text.split("\n"), iter(after.split("\n"))
    assert all(row in rest for row in rows), "every line is there, in order"
    assert WRITTEN[kind] in after
    assert "response-buffering" not in {one.rule for one in checked(after)[1].findings}


@pytest.mark.parametrize("end", ["\r", "\x85"])
def test_ends_of_lines_that_nginx_does_not_know(end: str) -> None:
    """A program that reads the YAML gets LF for them."""
    text = BLOCK.replace("\n", end)
    workspace, report = checked(text)
    assert report.problems == []
    [finding] = [one for one in report.findings if one.rule == "response-buffering"]
    assert text[finding.place.start : finding.place.end] == PLACES["block"]
    assert WRITTEN["block"] in fixed(workspace)


# A text that is refused: what stands behind or before it, and where the mistake is said to be.
REFUSED = {
    "version": ("%YAML 9.9\n---\n", "", 1, 1),
    "version twice": ("%YAML 1.1\n%YAML 1.1\n---\n", "", 2, 1),
    "no such directive": ("%FOO bar\n---\n", "", 1, 5),
    "directive without a document": ("%YAML 1.1\n", "", 2, 1),
    "no such tag": ("--- !e!x\n", "", 1, 5),
    "control character": ("a: b\nc: \u00e9 \x07\n", "", 2, 6),
    "tab for indentation": ("a:\n\tb: c\n", "", 2, 1),
    "no such anchor": ("", "x: [*no]\n", 0, 5),
    "escape": ("", 'x: "\\uD800"\n', 0, 7),
    "deep": ("[" * 300 + "\n", "", 1, 101),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_has_its_place(name: str, kind: str) -> None:
    before, behind, line, column = REFUSED[name]
    text = f"{before}{TEXTS[kind]}{behind}"
    problems = checked(text)[1].problems
    if name == "deep" and kind == "block":
        column = 201  # the limit for all YAML; a manifest has a lower one
    line = line or text.count("\n")
    assert [(one.line, one.column) for one in problems[:1]] == [(line, column)], problems
