"""Comments that ignore findings: what they are for, and what is said of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.config import InputOptions, Source
from nginx_stream_lint.config.templates.dialects import DIALECTS
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_all, fix_checked
from nginx_stream_lint.rules.finding import Place
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.suppress.comments import IgnoreComment, _Regions

RULES = load_rules(builtin_folder())
ABOUT = {"unexplained-ignore", "unknown-ignored-rule", "unused-ignore"}
SIGN = "# nginx-stream-lint: ignore"
HEAD = "location /v1/chat/completions {"
PASS = "proxy_pass http://app;"


def run(folder: Path, text: str, name: str = "a.conf", *select: str) -> Result:
    path = folder / name
    path.write_bytes(text.encode())
    rules = tuple(rule for rule in RULES if not select or rule.name in {*select, *ABOUT})
    options = Options(
        rules,
        input_options=InputOptions(markdown=True),
        all_rules=tuple(rule.name for rule in RULES),
    )
    return lint(Workspace.on_disk(str(path)), options=options)


def left(report: Result) -> set[str]:
    return {finding.rule for finding in report.findings}


BUFFERING = "response-buffering"


@pytest.mark.parametrize(
    "text",
    [
        f"{SIGN}[{BUFFERING}] why\n{HEAD}\n{PASS}\n}}",
        f"{HEAD} {SIGN}[{BUFFERING}] why\n{PASS}\n}}",
        f"{HEAD}\n{PASS}\nproxy_buffering on; {SIGN}[{BUFFERING}] why\n}}",
        f"{HEAD}\n{PASS}\n{SIGN}[{BUFFERING}] why\nproxy_buffering on;\n}}",
        f"{SIGN}[{BUFFERING}] why\n# more\nserver {{\n{HEAD}\n{PASS}\n}}\n}}",
        f"{SIGN}[{BUFFERING} , other-rule] why\nserver {{ {HEAD} {PASS} }} }}".replace(
            ", other-rule", ""
        ),
        f"{HEAD}\n{PASS}\n}}\n{SIGN}-file[{BUFFERING}] why\n",
        f"{SIGN} why\n{HEAD}\n{PASS}\n}}",
        f"{SIGN}[{BUFFERING}] why\r\n{HEAD}\r\n{PASS}\r\n}}",
        f"##  nginx-stream-lint:ignore[{BUFFERING}]why\n{HEAD}\n{PASS}\n}}",
    ],
)
def test_a_finding_is_ignored(text: str, tmp_path: Path) -> None:
    report = run(tmp_path, text, "a.conf", BUFFERING)
    assert left(report) == set()
    [one] = report.suppressed
    assert (one.finding.rule, one.kind, one.reason) == (BUFFERING, "inSource", "why")


@pytest.mark.parametrize(
    "text",
    [
        f"{SIGN}[short-read-timeout] why\n{HEAD}\n{PASS}\n}}",
        f"{SIGN}[{BUFFERING}] why\nlocation /a {{ }}\n{HEAD}\n{PASS}\n}}",
        f"location /a {{ }} {SIGN}[{BUFFERING}] why\n{HEAD}\n{PASS}\n}}",
        f"{SIGN}[{BUFFERING}] too far\n\n{HEAD}\n{PASS}\n}}",
        f"# nginx-stream-lint ignore[{BUFFERING}] no colon\n{HEAD}\n{PASS}\n}}",
        f"{HEAD}\n{PASS}\n{SIGN}[{BUFFERING}] nothing below\n}}",
    ],
)
def test_a_finding_is_not_ignored(text: str, tmp_path: Path) -> None:
    assert BUFFERING in left(run(tmp_path, text, "a.conf", BUFFERING))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.conf.j2", f"{{# nginx-stream-lint: ignore[{BUFFERING}] why #}}\n{HEAD}\n{PASS}\n}}"),
        (
            "a.tmpl",
            f"{{{{- /* nginx-stream-lint: ignore[{BUFFERING}] why */ -}}}}\n"
            f"{{{{ if .x }}}}\n{{{{ end }}}}{HEAD}\n{PASS}\n}}",
        ),
        ("a.conf.erb", f"<%# nginx-stream-lint: ignore[{BUFFERING}] why %>\n{HEAD}\n{PASS}\n}}"),
        (
            "a.yaml",
            f"data:\n  a.conf: |\n    {SIGN}[{BUFFERING}] why\n    {HEAD}\n      {PASS}\n    }}\n",
        ),
        ("a.md", f"```nginx\n{SIGN}[{BUFFERING}] why\n{HEAD}\n{PASS}\n}}\n```\n"),
    ],
)
def test_in_templates_and_other_files(name: str, text: str, tmp_path: Path) -> None:
    report = run(tmp_path, text, name, BUFFERING)
    assert left(report) == set(), [finding.message for finding in report.findings]
    [one] = report.suppressed
    assert one.reason == "why"


INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: chat
  annotations:
    nginx.org/proxy-read-timeout: "3600s"
spec:
  ingressClassName: nginx
  rules:
    - host: a.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Prefix
            backend: {service: {name: llm, port: {number: 8000}}}
"""


@pytest.mark.parametrize(
    "before", ["kind: Ingress", "          - path: /v1", "spec:", "  rules:", "    - host"]
)
def test_in_an_ingress(before: str, tmp_path: Path) -> None:
    assert BUFFERING in left(run(tmp_path, INGRESS, "a.yaml", BUFFERING))
    indent = before[: len(before) - len(before.lstrip())]
    text = INGRESS.replace(before, f"{indent}{SIGN}[{BUFFERING}] why\n{before}", 1)
    if before == "kind: Ingress":
        text = INGRESS.replace(before, f"{SIGN}-file[{BUFFERING}] why\n{before}", 1)
    assert left(run(tmp_path, text, "a.yaml", BUFFERING)) == set()


@pytest.mark.parametrize(
    ("comment", "rule", "says"),
    [
        (f"{SIGN}[{BUFFERING}]", "unexplained-ignore", "gives no reason"),
        (f"{SIGN}[{BUFFERING}, respons-buffering] x", "unknown-ignored-rule", "respons-buffering"),
        (
            f"{SIGN}[{BUFFERING}, nagle-delay] x",
            "unused-ignore",
            "nagle-delay reports nothing here",
        ),
    ],
)
def test_what_is_wrong_with_a_comment(comment: str, rule: str, says: str, tmp_path: Path) -> None:
    report = run(tmp_path, f"{comment}\n{HEAD}\n{PASS}\n}}", "a.conf", BUFFERING, "nagle-delay")
    [finding] = report.findings
    assert (finding.rule, finding.severity, finding.stream) == (rule, "warning", None)
    assert says in finding.message
    assert (finding.place.line, finding.place.column) == (1, 1)


def test_a_rule_that_was_not_applied_is_not_unused(tmp_path: Path) -> None:
    text = f"{SIGN}[nagle-delay] why\n{HEAD}\n{PASS}\n}}"
    assert left(run(tmp_path, text, "a.conf", BUFFERING)) == {BUFFERING}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{SIGN}[nagle-delay] x\n{HEAD} {PASS} }}\n", f"{HEAD} {PASS} }}\n"),
        (f"{HEAD} {PASS} }} {SIGN}[nagle-delay] x\r\n", f"{HEAD} {PASS} }}\r\n"),
        (f"{HEAD} {PASS} }} {SIGN}[nagle-delay] x", f"{HEAD} {PASS} }}"),
        (
            f"{SIGN}[nagle-delay, {BUFFERING}] x\n{HEAD} {PASS} }}\n",
            f"{SIGN}[{BUFFERING}] x\n{HEAD} {PASS} }}\n",
        ),
    ],
)
def test_what_ignores_nothing_is_taken_out(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_bytes(before.encode())
    rules = tuple(rule for rule in RULES if rule.name in {"unused-ignore", "nagle-delay"})
    if BUFFERING in before:
        rules += tuple(rule for rule in RULES if rule.name == BUFFERING)
    options = Options(rules, all_rules=tuple(rule.name for rule in RULES))
    workspace = Workspace.on_disk(str(path))
    changed = fix_all(
        lambda texts: lint(workspace.overlaid(texts), options=options).findings, unsafe=False
    )
    [(_, source)] = changed.values()
    assert source.text == after


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_an_offset_lies_in_all_regions_around_it(spans: list[tuple[int, int]]) -> None:
    place = Place(Source("a.conf", "text"), 0, 1)
    ignores = [IgnoreComment(place, (), "", start, end) for start, end in spans if start <= end]
    regions = _Regions(ignores)
    for offset in range(8):
        found = [one for region in regions.at(offset) for one in region.ignores]
        around = [one for one in ignores if one.start <= offset < one.end]
        assert len(found) == len(around)
        assert set(found) == set(around)


NOTHING = f"{SIGN}[nagle-delay] because"
LUA = "content_by_lua_block { local a = 'x' %s\n ngx.say(\"%s\") --%s\n }"

# What looks like a comment and is none, by the name of a file.
NO_COMMENTS = [
    ("a.conf", f'location / {{ return 200 "{NOTHING}"; }}\n'),
    ("a.conf", f"location / {{ return 200 '\n{NOTHING}\n'; }}\n"),
    ("a.conf", f"location / {{ set $a b{NOTHING.replace(' ', '')}; }}\n"),
    ("a.conf", f"location / {{ {LUA % (NOTHING, NOTHING, NOTHING)} }}\n"),
    ("a.conf", f"location / {{ return 200 ''{NOTHING}\n; }}\n"),
    ("a.conf", 'location / { return 200 "{# nginx-stream-lint: ignore[nagle-delay] x #}"; }\n'),
    (
        "a.conf.j2",
        'location / { return 200 "a {# nginx-stream-lint: ignore[nagle-delay] x #}"; }\n',
    ),
    ("a.yaml", f'a: "{NOTHING}"\nb.conf: |\n  server {{ }}\n'),
    (
        "a.yaml",
        f"a: x{NOTHING}\nb: |\n  {NOTHING}\nc: &a{NOTHING[:5]} x\nb.conf: |\n  events {{ }}\n",
    ),
    ("a.yaml", f"? [\"{NOTHING}\", '{NOTHING}']\n: x\nb.conf: |\n  events {{ }}\n"),
    ("a.yaml", INGRESS.replace("name: chat", f'name: "{NOTHING}"')),
    ("a.yaml", INGRESS.replace("name: chat", f'name: chat\n  ? ["{NOTHING}"]\n  : x')),
    ("a.md", f"{NOTHING}\n\n```nginx\nevents {{ }}\n```\n{NOTHING}\n"),
]


@pytest.mark.parametrize(("name", "text"), NO_COMMENTS)
def test_what_only_looks_like_a_comment(name: str, text: str, tmp_path: Path) -> None:
    report = run(tmp_path, text, name, "nagle-delay")
    assert not left(report) & ABOUT


BLOCK = f"server {{\n  {NOTHING}\n  location /a {{ }} {NOTHING}\n}}\n"

# Comments that are reported, and that a fix must leave to people: it would change what is around
# nginx's text.
BY_HAND = [
    f"data:\n  a.conf: {json.dumps(BLOCK)}\n",
    "data:\n  a.conf: '" + BLOCK.replace("\n", "\n\n    ") + "'\n",
    "data:\n  a.conf: >\n    " + BLOCK.replace("\n", "\n\n    ").rstrip() + "\n",
    f"data:\n  {NOTHING}\n  a.conf: |\n    events {{ }}\n",
    f"data:\n  a.conf: | {NOTHING}\n    events {{ }}\n{NOTHING}\n",
    INGRESS.replace("spec:", f"spec: {NOTHING}"),
    INGRESS.replace("  rules:", f"  {NOTHING}\n  rules:"),
]


@pytest.mark.parametrize("text", BY_HAND)
def test_comments_around_nginx_are_left_to_people(text: str, tmp_path: Path) -> None:
    report = run(tmp_path, text, "a.yaml", "nagle-delay")
    unused = [one for one in report.findings if one.rule == "unused-ignore"]
    assert unused
    assert all(one.fix is not None and not one.fix.edits for one in unused)


# By the suffix of a file: what encloses a comment, in every language that has some.
IN_TEMPLATES = [
    ("j2", "{# ", " #}"),
    ("jinja", "{#- ", " -#}"),
    ("liquid", "{#", "#}"),
    ("tmpl", "{{/* ", " */}}"),
    ("ctmpl", "{{- /* ", " */ -}}"),
    ("hbs", "{{! ", " }}"),
    ("hbs", "{{!-- ", " --}}"),
    ("handlebars", "{{~! ", " ~}}"),
    ("handlebars", "{{~!-- ", "--~}}"),
    ("mustache", "{{!", "}}"),
    ("mustache", "{{!\n  ", "\n}}"),
    ("erb", "<%# ", " %>"),
    ("erb", "<%-# ", " -%>"),
    ("epp", "<% # ", " -%>"),
    ("ejs", "<%# ", " %>"),
    ("tpl", "[[/* ", " */]]"),
    ("tpl", "[[- /* ", " */ -]]"),
    ("tpl", "[[ /* ", " */ ]]"),
]
# Each is a template of its language without the comment, too.
VALUES = {"[[": "[[ .app ]]", "<%": "<%= @app %>"}


def test_every_syntax_of_comments_has_an_example() -> None:
    for dialect in DIALECTS:
        for syntax in dialect.tags:
            examples = [begin for _, begin, _ in IN_TEMPLATES if re.match(syntax.start, begin)]
            assert syntax.kind != "comment" or examples, syntax


@pytest.mark.parametrize(("suffix", "begin", "end"), IN_TEMPLATES)
def test_comments_of_templates(suffix: str, begin: str, end: str, tmp_path: Path) -> None:
    name = f"a.conf.{suffix}"
    passes = PASS.replace("app", VALUES.get(begin[:2], "{{ app }}"))

    def comment(rule: str) -> str:
        return f"{begin}nginx-stream-lint: ignore[{rule}] it's \"so {end}"

    location = f"{HEAD}\n{passes}\n}}\n"
    for text in (
        f"{comment(BUFFERING)}\n{location}",
        f"{comment(BUFFERING)}\n# more\n{comment('gzip-buffering')}\n{location}",
        location.replace("{\n", f"{{\n  {comment(BUFFERING)}\n"),
        f"{location}{comment(BUFFERING).replace('ignore', 'ignore-file')}\n",
    ):
        report = run(tmp_path, text, name, BUFFERING)
        assert report.problems == []
        assert left(report) <= {"unused-ignore"} or "gzip-buffering" in text
        assert [one.reason for one in report.suppressed] == ["it's \"so"]
    unused = comment("nagle-delay")
    partly = comment(f"nagle-delay, {BUFFERING}")
    for before, after in (
        (f"{unused}\n{location}", location),
        (f"{partly}\n{location}", f"{comment(BUFFERING)}\n{location}"),
        (location.replace("{\n", f"{{ {unused}\n"), location),
    ):
        report = run(tmp_path, before, name, BUFFERING, "nagle-delay")
        edits = [
            edit
            for one in report.findings
            if one.rule == "unused-ignore" and one.fix is not None
            for edit in one.fix.edits
        ]
        assert [before[: one.start] + one.text + before[one.end :] for one in edits] == [after]


@pytest.mark.parametrize("marks", ["# #", "####", "#" * 1_000_000], ids=len)
def test_many_marks_before_an_ignore_comment(marks: str, tmp_path: Path) -> None:
    """With a search from each mark on, a million of them would take hours."""
    text = f"{marks} x\n{marks} nginx-stream-lint: ignore[{BUFFERING}] why\n{HEAD}\n{PASS}\n}}"
    assert left(run(tmp_path, text, "a.conf", BUFFERING)) == set()


WORDS = ("a.conf", "server {", "}", "location / {", "return 200 ", ";", "'", '"', "\\n", "\\")
AROUND = ("\n", "\n  ", "\n    ", ": ", "- ", "|", ">", "[", "]", "&a ")
TAGS = ("{{/* ", " */}}", "{# ", " #}", "<%# ", " %>", "{{! ", " }}", "[[/* ", " */]]")


# By the name of a file: a text, and what a fix leaves of it. What nginx takes for a brace and a
# comment is no comment of Jinja, and what else people wrote in a comment of a template is theirs.
JINJA_OR_NGINX = [
    ("a.conf", f"server {{{NOTHING} #}}\n}}\n", "server {\n}\n"),
    ("a.conf", f"server {{{NOTHING}\n}} # {{#  #}}\n", "server {\n} # {#  #}\n"),
    ("a.conf", f"server {{{NOTHING}\na.conf{{#  #}}", None),
    ("a.conf.template", f"server {{{NOTHING} #}}\n}}\n", "server {\n}\n"),
    ("a.conf", f"set $a \\\n  {NOTHING}\nb;\n", "set $a \\\n  \nb;\n"),
    ("a.conf", f"server {{\n{{{NOTHING} #}}\n}}\n", "server {\n}\n"),
    ("a.conf.j2", f"server {{\n{{{NOTHING} #}}\n}}\n", "server {\n}\n"),
    ("a.conf.j2", f"server {{\n{{{NOTHING}\n#}}\n}}\n", "server {\n}\n"),
    ("a.conf.j2", f"server {{\n{{{NOTHING}\nlocation / {{ }} #}}\n}}\n", None),
    ("a.conf.j2", f"server {{ # {{{NOTHING}\nlisten 80; #}}\n}}\n", None),
    ("a.conf.j2", f"server {{ # {{{NOTHING} #}} x\n}}\n", "server { #  x\n}\n"),
    ("a.conf.erb", f"server {{\n<%{NOTHING}\nevents below %>\n}}\n", None),
    (
        "a.tmpl",
        "server {\n{{/* nginx-stream-lint: ignore[nagle-delay] because\n*/}}\n}\n",
        "server {\n}\n",
    ),
    ("a.tmpl", "server {\n{{/* nginx-stream-lint: ignore[nagle-delay] x\nmore */}}\n}\n", None),
]


@pytest.mark.parametrize(("name", "text", "after"), JINJA_OR_NGINX)
def test_a_comment_is_whose_reader_took_it_for_one(
    name: str, text: str, after: str | None, tmp_path: Path
) -> None:
    report = run(tmp_path, text, name, "nagle-delay")
    [unused] = [one for one in report.findings if one.rule == "unused-ignore"]
    edits = () if unused.fix is None else unused.fix.edits
    for edit in edits:
        text = text[: edit.start] + edit.text + text[edit.end :]
    assert (text if edits else None) == after


@settings(max_examples=150, deadline=None)
@example("a.conf", ["server {", f"{NOTHING}\n", "a.conf", "{# ", " #}"])
@example("a.conf.j2", ["a.conf", " #}", "server {", f"{NOTHING}\n", "server {", " #}"])
@given(
    name=st.sampled_from(
        ["a.conf", "a.yaml", "a.md", "a.conf.j2", "a.tmpl", "a.conf.erb", "a.hbs"]
    ),
    words=st.lists(st.sampled_from((*WORDS, *AROUND, *TAGS, f"{NOTHING}\n")), max_size=25),
)
def test_a_fix_takes_out_nothing_but_comments(
    tmp_path_factory: pytest.TempPathFactory, name: str, words: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    text = "".join(words)
    path.write_bytes(text.encode())
    rules = tuple(rule for rule in RULES if rule.name in {"unused-ignore", "nagle-delay"})
    options = Options(rules, input_options=InputOptions(markdown=True))
    workspace = Workspace.on_disk(str(path))
    before = lint(workspace, options=options)
    fixed = fix_checked(lambda texts: lint(workspace.overlaid(texts), options=options), unsafe=True)
    assert fixed.refused == []
    for _, after in fixed.changed.values():
        # All that is gone are comments, with the white space and the marks of a template around.
        # A brace right before the comment may be a mark or not; `_statements` knows nginx's.
        drop = "{" if "{#" in text else ""
        assert _without(text).replace(drop, "") == _without(after.text).replace(drop, "")
        if name == "a.conf" and not any(tag.strip() in text for tag in TAGS):
            assert _statements(text) == _statements(after.text)
        again = lint(workspace.overlaid({str(path): after.text}), options=options)
        assert [one.message for one in again.problems] == [one.message for one in before.problems]


def _statements(text: str) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    blocks = [parse(Source("a.conf", text)).directives]
    while blocks:
        for one in blocks.pop():
            found.append((one.name, one.args))
            blocks.append(one.block or [])
    return found


def _without(text: str) -> str:
    """A text without ignore comments, marks of templates, and white space."""
    text = text.replace(NOTHING, "")
    return re.sub(r"\s|\{\{/\*|\*/\}\}|\{#|#\}|<%#|%>|\{\{!|\}\}|\[\[/\*|\*/\]\]", "", text)


README_EXAMPLE = """location /progress {
    # The progress of a job.
    # nginx-stream-lint: stream sse
    # nginx-stream-lint: ignore[short-read-timeout] the app sends a comment every 15 seconds
    proxy_pass http://app;
    proxy_http_version 1.1;
    proxy_buffering off;
}
"""


@pytest.mark.parametrize(
    "text",
    [
        README_EXAMPLE,
        README_EXAMPLE.replace("    # The progress of a job.\n", "\n"),
        README_EXAMPLE.replace(
            "    # nginx-stream-lint: ignore", "\n    # nginx-stream-lint: ignore"
        ),
        README_EXAMPLE.replace("proxy_pass", "proxy_read_timeout 20s;\n    proxy_pass"),
        README_EXAMPLE.replace("proxy_pass", "proxy_pass_header X-A;\n    proxy_pass"),
    ],
)
def test_a_comment_at_the_head_of_a_block_is_for_all_of_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    report = lint(Workspace.on_disk(str(path)), options=Options(RULES))
    assert [one.rule for one in report.findings] == []
    assert [one.finding.rule for one in report.suppressed] == ["short-read-timeout"]
    fixed = fix_checked(
        lambda texts: lint(Workspace.on_disk(str(path)).overlaid(texts), options=Options(RULES)),
        unsafe=True,
    )
    assert fixed.changed == {}, "what is ignored is never fixed, and the comment stays"


def test_above_a_block_it_is_for_that_block_only(tmp_path: Path) -> None:
    other = README_EXAMPLE.replace("/progress", "/other").replace("ignore[", "nothing[")
    inner = README_EXAMPLE.replace("    # nginx-stream-lint: ignore", "    # nothing: ignore")
    comment = "# nginx-stream-lint: ignore[short-read-timeout] the app sends comments\n"
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"server {{\n{comment}{inner}{other.replace('nginx-stream-lint: noth', 'noth')}}}\n"
    )
    report = lint(Workspace.on_disk(str(path)), options=Options(RULES))
    assert [one.location.label for one in report.findings] == ["location /other"]


def test_what_became_part_of_another_rule_can_still_be_ignored(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "location /sse {\n"
        "    # nginx-stream-lint: ignore[old-upstream-http] the app has only HTTP/1.0\n"
        "    proxy_pass http://app;\n    proxy_read_timeout 1h;\n}\n"
    )
    report = lint(Workspace.on_disk(str(path)), options=Options(RULES))
    assert [one.rule for one in report.findings] == ["response-buffering"]
    fixed = fix_checked(
        lambda texts: lint(Workspace.on_disk(str(path)).overlaid(texts), options=Options(RULES)),
        unsafe=True,
    )
    ((before, after),) = fixed.changed.values()
    new = "http://app;\n    proxy_buffering off;"
    assert after.text == before.text.replace("http://app;", new)
