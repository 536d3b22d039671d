"""Ingresses checked and mended: findings in the YAML, annotations as fixes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, Result, detect, judge_places, lint, with_fixes
from nginx_stream_lint.config import File, Source
from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText, SourceMapping
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import apply_edits, compatible, fix_all
from nginx_stream_lint.fixes.ingress_placement import setting_edits
from nginx_stream_lint.fixes.show import location_with_fixes
from nginx_stream_lint.kubernetes.controllers import ingress_nginx
from nginx_stream_lint.kubernetes.nginx_text import NginxText
from nginx_stream_lint.kubernetes.translate import configurations, translate_resources
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.util.budget import Limits
from tests.command import findings, run_here
from tests.kubernetes.manifests import every_annotation, ingress, value_of

# What hangs on the controller's processes, and not on an Ingress.
ELSEWHERE = {"reload-cut", "browser-connection-limit"}
RULES = tuple(rule for rule in load_rules(builtin_folder()) if rule.name not in ELSEWHERE)
NGINX = "nginx.ingress.kubernetes.io/"
PATHS = [("/a/events", "Prefix"), ("/b", "Exact"), ("/c", "ImplementationSpecific")]


def written(folder: Path, text: str) -> Path:
    path = folder / "ingress.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def checked(path: Path) -> Result:
    report = lint(Workspace.on_disk(str(path)), options=Options(rules=RULES))
    assert report.problems == []
    return report


def said(report: Result) -> set[tuple[str, str]]:
    return {(one.severity, one.rule) for one in report.findings}


def fixed(path: Path, unsafe: bool = False) -> str:
    """The text with all fixes, until nothing is left to mend."""

    def again(changed: Mapping[str, str]) -> list[Finding]:
        return lint(
            Workspace.on_disk(str(path)).overlaid(changed), options=Options(rules=RULES)
        ).findings

    changed = fix_all(again, unsafe)
    return next(iter(changed.values()))[1].text if changed else path.read_text(encoding="utf-8")


LLM = ingress({NGINX + "proxy-body-size": "8m"}, tls=True)
# Nothing in it says that anything streams.
SHOP = ingress({NGINX + "proxy-body-size": "1m"}, [("/shop", "Prefix")])
SHOP = SHOP.replace("vllm", "shop").replace("8000", "80").replace("llm", "web")
ORG = LLM.replace(f"{NGINX}proxy-body-size", "nginx.org/client-max-body-size")


def test_ingress_nginx_needs_more_time_only(tmp_path: Path) -> None:
    path = written(tmp_path, LLM)
    report = checked(path)
    assert said(report) == {("warning", "short-read-timeout")}
    (finding,) = report.findings
    assert (finding.place.line, finding.place.column) == (16, 13)
    assert "60 s of silence (proxy_read_timeout, default of ingress-nginx)" in finding.message
    assert finding.location.label == "location = /v1/chat/completions"
    assert finding.location.servers == ("llm.example.com",)
    assert (report.locations, report.streams) == (1, 1)
    assert finding.fix is not None
    assert finding.fix.applicability == "safe"
    assert finding.fix.snippet == f'{NGINX}proxy-read-timeout: "300"'
    mended_text = fixed(path)
    assert mended_text == LLM.replace("'8m'\n", f"'8m'\n    {NGINX}proxy-read-timeout: \"300\"\n")
    assert checked(written(tmp_path, mended_text)).findings == []


def test_the_controller_of_nginx_org_buffers(tmp_path: Path) -> None:
    path = written(tmp_path, ORG)
    report = checked(path)
    assert said(report) == {("error", "response-buffering"), ("warning", "short-read-timeout")}
    (error,) = (one for one in report.findings if one.severity == "error")
    assert "proxy_buffering is on (default of NGINX Ingress Controller)" in error.message
    assert error.fix is not None
    assert error.fix.snippet == 'nginx.org/proxy-buffering: "False"'
    mended_text = fixed(path)
    assert '\n    nginx.org/proxy-buffering: "False"\n' in mended_text
    assert '\n    nginx.org/proxy-read-timeout: "300s"\n' in mended_text
    assert checked(written(tmp_path, mended_text)).findings == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("proxy-buffering: 'on'", "proxy-buffering: 'off'"),
        ('proxy-buffering: "on"  # why not', 'proxy-buffering: "off"  # why not'),
    ],
)
def test_an_annotation_keeps_its_quotes(line: str, expected: str, tmp_path: Path) -> None:
    text = ingress({NGINX + "proxy-read-timeout": "3600", NGINX + "x": ""}, tls=True)
    text = text.replace("x: ''", line)
    path = written(tmp_path, text)
    report = checked(path)
    assert said(report) == {("error", "response-buffering")}
    assert (report.findings[0].place.line, report.findings[0].place.column) == (7, 5)
    assert "set here" in report.findings[0].message
    assert fixed(path) == text.replace(line, expected)


HEAD = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n"
TAIL = LLM[LLM.index("spec:") :].replace("nginx", "nginx-org")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            "  name: llm\n",
            "  name: llm\n  annotations:\n"
            '    nginx.org/proxy-buffering: "False"\n    nginx.org/proxy-read-timeout: "300s"\n',
        ),
        (
            "    annotations:\n    name: llm\n",
            '    annotations:\n        nginx.org/proxy-read-timeout: "300s"\n'
            '        nginx.org/proxy-buffering: "False"\n    name: llm\n',
        ),
        (
            "  annotations: # none yet\n  name: llm\n",
            '  annotations: # none yet\n    nginx.org/proxy-read-timeout: "300s"\n'
            '    nginx.org/proxy-buffering: "False"\n  name: llm\n',
        ),
        (
            "  annotations:\n    # for the lawyers\n    a/b: |\n      c\n\n  name: llm\n",
            "  annotations:\n    # for the lawyers\n    a/b: |\n      c\n"
            '    nginx.org/proxy-buffering: "False"\n    nginx.org/proxy-read-timeout: "300s"\n'
            "\n  name: llm\n",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_where_new_annotations_go(
    metadata: str, expected: str, newline: str, tmp_path: Path
) -> None:
    text = (HEAD + metadata + TAIL).replace("\n", newline)
    path = written(tmp_path, text)
    assert {one.rule for one in checked(path).findings} == {
        "response-buffering",
        "short-read-timeout",
    }
    after = fixed(path)
    assert sorted(after.split(newline)) == sorted(
        (HEAD + expected + TAIL).replace("\n", newline).split(newline)
    )
    assert "\r" not in after.replace("\r\n", "")
    assert checked(written(tmp_path, after)).findings == []


@pytest.mark.parametrize(
    "metadata",
    [
        "  annotations: {}\n  name: llm\n",
        '  annotations: {a/b: "c"}\n  name: llm\n',
        "  {name: llm}\n",
        "  labels: &more {a/b: c}\n  annotations: *more\n",
        "  annotations: ~\n",
    ],
)
def test_what_people_have_to_write_themselves(metadata: str, tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + metadata + TAIL)
    report = checked(path)
    for finding in report.findings:
        assert finding.fix is not None
        assert finding.fix.applicability == "manual"
        assert finding.fix.snippet.startswith("nginx.org/proxy-")
    assert len(report.findings) == 2
    assert fixed(path) == path.read_text(encoding="utf-8")


def test_json_is_for_people_to_mend(tmp_path: Path) -> None:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"annotations": {"nginx.org/client-max-body-size": "1m"}},
        "spec": {"rules": [{"http": {"paths": [{"path": "/v1/chat/completions"}]}}]},
    }
    path = tmp_path / "ingress.json"
    path.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    (timeout,) = (one for one in checked(path).findings if one.rule == "short-read-timeout")
    assert timeout.fix is not None
    assert timeout.fix.applicability == "manual"
    assert timeout.fix.snippet == 'nginx.org/proxy-read-timeout: "300s"'


def test_text_in_a_snippet_is_mended_there(tmp_path: Path) -> None:
    snippet = "expires 1d;\ngzip on;\n"
    text = ingress({NGINX + "configuration-snippet": snippet, NGINX + "proxy-read-timeout": "3600"})
    path = written(tmp_path, text)
    report = checked(path)
    assert {one.rule for one in report.findings} == {"cacheable-stream"}
    after = fixed(path, unsafe=True)
    assert after != text
    assert after.replace("expires off;", "expires 1d;") == text
    assert checked(written(tmp_path, after)).findings == []


def test_a_location_in_a_server_snippet_is_mended_there(tmp_path: Path) -> None:
    snippet = "location /events {\n    proxy_pass http://127.0.0.1:9000;\n}\n"
    text = ingress(
        {NGINX + "server-snippet": snippet, NGINX + "proxy-read-timeout": "3600"}, tls=True
    )
    path = written(tmp_path, text)
    assert ("error", "response-buffering") in said(checked(path))
    after = fixed(path)
    for line in ("proxy_buffering off;", "proxy_http_version 1.1;", "proxy_read_timeout 300s;"):
        assert f"\n          {line}\n" in after
    assert [line for line in after.splitlines() if line in text.splitlines()] == text.splitlines()
    assert checked(written(tmp_path, after)).findings == []


def masked(text: str) -> str:
    return re.sub(r"\{\{.*?\}\}", lambda action: PLACEHOLDER * len(action[0]), text)


def planned(text: str) -> list[Finding]:
    """The findings of a template."""
    source = Source("ingress.yaml", text)
    (configuration,) = configurations(source, masked(text))
    options = Options(rules=RULES)
    judged = judge_places(detect(configuration, options, Workspace.in_memory({})).proxied, options)
    return with_fixes([one.finding for one in judged], judged, configuration.files)[0]


def test_placeholders_stay() -> None:
    text = ORG.replace("'8m'", '"{{ .Values.size }}"').replace(
        "name: vllm", "name: {{ .Values.name }}"
    )
    changes = [one.fix for one in planned(text) if one.fix is not None]
    assert [fix.applicability for fix in changes] == ["safe", "safe"]
    after = apply_edits(text, compatible(changes))
    new = 'nginx.org/proxy-buffering: "False"\n    nginx.org/proxy-read-timeout: "300s"'
    assert after == text.replace("  annotations:\n", f"  annotations:\n    {new}\n")
    assert planned(after) == []


def test_a_placeholder_is_nobodys_to_replace() -> None:
    text = ORG.replace("client-max-body-size: '8m'", 'proxy-buffering: "{{ .Values.buffering }}"')
    assert [one.rule for one in planned(text)] == ["short-read-timeout"]
    (made,) = translate_resources(Source("ingress.yaml", text), masked(text))[0]
    author = made.author
    assert author is not None
    assert setting_edits(author, [("proxy_buffering", "off")], 0) is None
    assert setting_edits(author, [("proxy_read_timeout", "1h")], 0) is not None


def test_annotations_of_a_template_are_for_people_to_mend() -> None:
    text = ORG.replace("nginx.org/client-max-body-size: '8m'", "{{- toYaml .Values.annotations }}")
    text = text.replace("ingressClassName: nginx", "ingressClassName: nginx-org")
    for finding in planned(text):
        assert finding.fix is not None
        assert finding.fix.applicability == "manual"


def test_what_has_no_annotation_goes_into_the_snippet(tmp_path: Path) -> None:
    comment = "            # nginx-stream-lint: stream sse x_accel_buffering=yes\n"
    for given in (
        "",
        f"    {NGINX}configuration-snippet: |\n        # own\n        expires off;\n",
    ):
        text = ingress({NGINX + "proxy-read-timeout": "3600"}).replace(
            "  annotations:\n", f"  annotations:\n{given}"
        )
        text = text.replace("            pathType", f"{comment}            pathType")
        path = written(tmp_path, text)
        (finding,) = (one for one in checked(path).findings if one.rule == "response-buffering")
        assert finding.fix is not None
        assert finding.fix.applicability == "unsafe"
        assert fixed(path) == text
        after = fixed(path, unsafe=True)
        assert (
            f"{'        ' if given else '      '}proxy_ignore_headers X-Accel-Buffering;\n" in after
        )
        assert f'{NGINX}proxy-buffering: "off"\n' in after
        assert after.count("configuration-snippet") == 1
        assert checked(written(tmp_path, after)).findings == []


def test_a_snippet_does_not_repeat_what_the_controller_writes(tmp_path: Path) -> None:
    mirrored = {NGINX + "mirror-target": "http://copy", NGINX + "proxy-buffering": "off"}
    report = checked(written(tmp_path, ingress(mirrored, [("/v1/chat/completions", "Exact")])))
    repeated = next(one for one in report.findings if one.rule == "repeated-generation")
    assert repeated.fix is not None
    assert repeated.fix.applicability == "manual"


def test_new_annotations_keep_clear_of_a_mapping_with_its_own(tmp_path: Path) -> None:
    """The annotations of one Ingress end where those of the values around it would begin."""
    text = f"""\
ingress:
  className: nginx
  host: a.example
  path: /v1/chat/completions
  other:
    # nginx-stream-lint: stream=sse
    {NGINX}proxy-buffering: "off"
"""
    timeout = f'{NGINX}proxy-read-timeout: "300"'
    lines = text.splitlines()
    assert fixed(written(tmp_path, text), unsafe=True).splitlines() == [
        *lines[:4],
        "  annotations:",
        f"    {timeout}",
        *lines[4:],
        f"    {timeout}",
    ]


def test_a_virtual_server_gets_fields(tmp_path: Path) -> None:
    text = (
        "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nmetadata:\n  name: llm\nspec:\n"
        "  host: llm.example.com\n  tls: {secret: llm}\n  upstreams:\n"
        "    - name: vllm\n      service: vllm\n      port: 8000\n      buffering: true # why\n"
        "  routes:\n    - path: /v1/chat/completions\n      action:\n        pass: vllm\n"
    )
    path = written(tmp_path, text)
    assert said(checked(path)) == {
        ("error", "response-buffering"),
        ("error", "short-read-timeout"),
    }
    after = fixed(path)
    assert after == text.replace(
        "buffering: true # why\n", "buffering: false # why\n      read-timeout: 300s\n"
    )
    assert checked(written(tmp_path, after)).findings == []


def test_only_the_class_assigns_it(tmp_path: Path) -> None:
    path = written(tmp_path, ingress({}))
    report = checked(path)
    assert said(report) == {("note", "controller-default"), ("error", "short-read-timeout")}
    assert "short-read-timeout" not in {
        one.rule for one in checked(written(tmp_path, fixed(path))).findings
    }


def test_a_comment_declares_a_stream(tmp_path: Path) -> None:
    text = ingress({NGINX + "proxy-body-size": "1m"}, [("/a", "Exact"), ("/b", "Exact")])
    comment = "# nginx-stream-lint: stream\n"
    inside = text.replace("            pathType", f"            {comment}            pathType", 1)
    report = checked(written(tmp_path, inside))
    assert [
        one.location.label for one in report.findings if one.stream_words.startswith("declared")
    ] == ["location = /a"]
    above = text.replace("  annotations:\n", f"  annotations:\n    {comment}")
    report = checked(written(tmp_path, above))
    assert report.streams == 2


def test_comments_among_the_annotations_speak_for_all_paths(tmp_path: Path) -> None:
    text = SHOP.replace("/shop", "/a") + SHOP[SHOP.index("          - path") :]
    assert checked(written(tmp_path, text)).streams == 0
    text = text.replace("  annotations:\n", "  annotations:\n    # server-sent events\n")
    report = checked(written(tmp_path, text))
    assert report.streams == 2
    assert "a comment says" in report.findings[0].stream_words


def test_defaults_of_the_controller_do_not_speak_for_a_stream(tmp_path: Path) -> None:
    assert checked(written(tmp_path, SHOP)).streams == 0
    report = checked(written(tmp_path, SHOP.replace("body-size: '1m'", "buffering: 'off'")))
    assert report.streams == 1
    assert "it sets proxy_buffering off" in report.findings[0].stream_words


def test_the_lines_that_change_are_shown(tmp_path: Path) -> None:
    (finding,) = checked(written(tmp_path, LLM)).findings
    assert location_with_fixes(finding.location, [finding]).splitlines() == [
        "  annotations:",
        f"    {NGINX}proxy-body-size: '8m'",
        f'+   {NGINX}proxy-read-timeout: "300"',
    ]


def test_fastcgi_has_no_annotation_for_buffering(tmp_path: Path) -> None:
    path = written(tmp_path, ingress({NGINX + "backend-protocol": "FCGI"}))
    report = checked(path)
    assert said(report) == {("error", "response-buffering"), ("error", "short-read-timeout")}
    assert {one.fix.applicability for one in report.findings if one.fix} == {"unsafe"}
    cautions = {said for one in report.findings if one.fix for said in one.fix.cautions}
    assert cautions == {"This adds a snippet, and controllers forbid snippets by default"}
    after = fixed(path, unsafe=True)
    assert "    nginx.ingress.kubernetes.io/configuration-snippet: |\n" in after
    assert "      fastcgi_buffering off;\n" in after
    assert checked(written(tmp_path, after)).findings == []


def test_grpc_reads_the_same_timeout(tmp_path: Path) -> None:
    path = written(tmp_path, ingress({NGINX + "backend-protocol": "GRPC"}))
    report = checked(path)
    assert said(report) == {("error", "short-read-timeout")}
    after = fixed(path)
    assert f'{NGINX}proxy-read-timeout: "300"' in after
    assert checked(written(tmp_path, after)).findings == []


def test_what_the_controller_does_is_said_once(tmp_path: Path) -> None:
    paths = [("/v1/chat/completions", "Exact"), ("/v1/completions", "Exact")]
    path = written(tmp_path, ingress({NGINX + "proxy-read-timeout": "3600"}, paths))
    rules = load_rules(builtin_folder())
    (finding,) = lint(Workspace.on_disk(str(path)), options=Options(rules=rules)).findings
    assert finding.rule == "reload-cut"
    text = finding.place.source.text
    assert text[finding.place.start : finding.place.end] == "kind: Ingress"
    assert finding.fix is not None
    assert finding.fix.snippet.startswith('worker-shutdown-timeout: "3600s"')


def test_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, ORG)
    found = findings(path, status=1)
    error = next(one for one in found if one["rule"] == "response-buffering")
    assert (error["line"], error["column"], error["end_line"]) == (16, 13, 16)
    (edit,) = error["fix"]["edits"]
    assert ORG[: edit["start"]].endswith("'8m'")
    done = run_here(path, "--fix", "--ignore", ",".join(sorted(ELSEWHERE)))
    assert done.returncode == 0, done.stdout
    after = path.read_text(encoding="utf-8")
    assert 'nginx.org/proxy-buffering: "False"' in after


def test_a_snippet_does_not_set_again_what_the_controller_sets(tmp_path: Path) -> None:
    text = ingress({NGINX + "mirror-target": "https://other", NGINX + "proxy-read-timeout": "3600"})
    report = checked(written(tmp_path, text))
    [finding] = [one for one in report.findings if one.rule == "repeated-generation"]
    assert finding.fix is not None
    assert (finding.fix.applicability, finding.fix.edits) == ("manual", ())


def many_paths(number: int, snippet: str) -> str:
    paths = [(f"/v{at}/chat/completions", "Prefix") for at in range(number)]
    return ingress({NGINX + "configuration-snippet": snippet}, paths)


def test_a_snippet_is_read_once_however_many_locations_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def parsed(reading: MappedText) -> File:
        read.append(reading.text)
        return parse(reading)

    monkeypatch.setattr("nginx_stream_lint.kubernetes.conversion.parse", parsed)
    for snippet, problems in (("add_header A b;", 0), ("add_header A", 1)):
        read.clear()
        text = many_paths(20, snippet)
        ([translation], _) = translate_resources(Source("a.yaml", text), text)
        assert len(translation.problems) == problems
        assert translation.text.count(snippet) == (0 if problems else 40)
        assert [one.strip() for one in read] == [snippet]


def test_what_controllers_make_has_a_limit() -> None:
    small, large = many_paths(1, "add_header A b;"), many_paths(50, f"add_header A {'b' * 2000};")
    limits = Limits(made=100_000)

    def problems(*texts: str) -> tuple[Result, list[tuple[str, int, str]]]:
        workspace = Workspace.in_memory({"a.yaml": "---\n".join(texts)}, limits=limits)
        report = lint(workspace, options=Options(rules=RULES))
        said = [(one.file, one.line, one.message) for one in report.problems]
        return report, said

    assert problems(small, small)[1] == []
    report, said = problems(small, large, small)
    message = "an ingress controller would generate more than 100,000 characters of configuration"
    assert said == [("a.yaml", small.count("\n") + 2, message)]
    assert report.findings, "what was made before is checked"
    many = [small] * 100
    assert [one for _, _, one in problems(*many)[1]] == [message]


@pytest.mark.parametrize("annotation", every_annotation(ingress_nginx()))
def test_what_locations_have_in_common_is_made_once(
    annotation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what making it each time gives, with the same places."""
    annotations = {NGINX + annotation: value_of(ingress_nginx(), annotation)}
    text = ingress(annotations | {NGINX + "proxy-buffer-size": "8k"}, PATHS)

    def made() -> list[tuple[str, Sequence[SourceMapping], list[tuple[int, int]]]]:
        return [
            (
                one.text,
                one.pieces,
                [one.source_span(at, at + 1) for at in range(len(one.text))],
            )
            for one in translate_resources(Source("a.yaml", text), text)[0]
        ]

    copied = made()
    monkeypatch.setattr(NginxText, "once", lambda *given: given[-1]())
    assert copied == made()
    assert len(copied) == 1
