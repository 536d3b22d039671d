"""Rules of one's own, through the real command: their examples, and folders that mean harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import findings, run, run_here

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.analysis.rule_examples import cases
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules.conditions import UNKNOWN, Comparison
from nginx_stream_lint.rules.facts import FACTS, PLACEHOLDERS, Facts
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.patterns import MAX_SUBJECT, finds, mistake
from nginx_stream_lint.rules.rule_file import EXPRESSION_CHECKS
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.rules.template_check import mistake as template_mistake
from nginx_stream_lint.rules.template_check import samples
from nginx_stream_lint.rules.template_names import template
from nginx_stream_lint.rules.templates import plain, render
from nginx_stream_lint.util.problems import Unreadable

# Of its own time: what else the machine does is not counted.
LIMIT_S = 2.0

RULE = """\
name: short-limit
title: A limit below ours
kinds: [sse]
severity:
  - error: {<family>_read_timeout: {less_than: 1h}}
at: <family>_read_timeout
message: The limit is {{ value("<family>_read_timeout") }}, ours is an hour
fix:
  title: Use ours
  applicability: safe
  steps:
    - set: <family>_read_timeout
      to: 1h
why: We say so.
evidence: our incident of last March
references: [https://wiki.example.com/streams]
examples:
  - bad: |
      server {
          location /events {
              # nginx-stream-lint: stream sse
              proxy_pass http://127.0.0.1:8000;
              proxy_http_version 1.1;
              proxy_buffering off;
              proxy_read_timeout 10m;
          }
      }
    fixed: |
      server {
          location /events {
              # nginx-stream-lint: stream sse
              proxy_pass http://127.0.0.1:8000;
              proxy_http_version 1.1;
              proxy_buffering off;
              proxy_read_timeout 1h;
          }
      }
  - good: |
      server {
          location /events {
              # nginx-stream-lint: stream sse
              proxy_pass http://127.0.0.1:8000;
              proxy_http_version 1.1;
              proxy_buffering off;
              proxy_read_timeout 2h;
          }
      }
"""
CONF = "server { location /events { proxy_pass http://127.0.0.1:8000; } }\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for rules; beside it a configuration and settings that say nothing."""
    (tmp_path / "nginx.conf").write_text(CONF)
    (tmp_path / ".nginx-stream-lint.yaml").write_text("")
    (tmp_path / "rules").mkdir()
    return tmp_path / "rules"


def _write(folder: Path, text: str | bytes, name: str = "short-limit.yaml") -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)


def _test(folder: Path, path: str = "rules") -> CompletedProcess[str]:
    return run_here("rules", "--test", path, cwd=folder.parent)


# `rules --test`


def test_right_examples(folder: Path) -> None:
    _write(folder, RULE)
    for path in ("rules", "rules/short-limit.yaml"):
        done = _test(folder, path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "right  short-limit, example 1 (bad)",
            "right  short-limit, example 2 (good)",
            "2 examples of 1 rule: all right",
        ]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("timeout 2h", "timeout 20m", "good, line 7: unexpected short-limit: The limit is 20m"),
        ("timeout 10m", "timeout 2h", "short-limit reports nothing in bad"),
        ("timeout 1h", "timeout 30m", "+        proxy_read_timeout 1h;"),
        (
            "proxy_buffering off",
            "proxy_buffering on",
            "bad, line 6: unexpected response-buffering: ",
        ),
        ("timeout 2h;", "timeout 2h", 'good, line 8: unexpected "}"'),
        ("stream sse\n", "stream see\n", 'good, line 3: kind "see" is unknown'),
    ],
)
def test_wrong_examples(before: str, after: str, says: str, folder: Path) -> None:
    _write(folder, RULE.replace(before, after))
    done = _test(folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "wrong  short-limit, example " in done.stdout
    assert any(line.startswith(f"    {says}") for line in done.stdout.splitlines()), done.stdout
    assert done.stdout.splitlines()[-1].endswith(" wrong")


def test_good_has_to_be_about_a_stream(folder: Path) -> None:
    good = RULE[RULE.index("  - good") :]
    _write(folder, RULE.replace(good, "  - good: 'events {}'\n"))
    done = _test(folder)
    assert done.returncode == 1
    assert "has no findings, but nothing in it seems to stream" in done.stdout


def test_a_rule_without_examples_is_not_tested(folder: Path) -> None:
    _write(folder, RULE[: RULE.index("examples:")] + "examples: []\n")
    done = _test(folder)
    assert done.returncode == 1
    assert "    the rule has no examples\n0 examples of 1 rule: 1 wrong\n" in done.stdout


def test_examples_that_are_to_be_true_of_one_version_only(folder: Path) -> None:
    """Without a version in the example, the old defaults count, too."""
    newer = RULE.replace("proxy_http_version 1.1;\n              ", "")
    _write(folder, newer)
    done = _test(folder)
    assert done.returncode == 1
    assert "old-upstream-http" in done.stdout
    newer = newer.replace("- bad", '- nginx_version: "1.29.7"\n    bad')
    _write(folder, newer.replace("- good", '- nginx_version: "1.29.7"\n    good'))
    assert _test(folder).returncode == 0


def test_the_shipped_rules_pass_the_same(tmp_path: Path) -> None:
    """Templates of theirs included, which other runs do not check."""
    path = builtin_folder() / "response-buffering.yaml"
    done = run("rules", "--test", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n6 examples of 1 rule: all right\n")
    load_rules(builtin_folder(), check_shipped=True)


def test_an_example_reads_no_file(folder: Path) -> None:
    secret = folder.parent / "secret.conf"
    secret.write_text("proxy_buffering hunter2;\n")
    manifest = (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\n  annotations:\n"
        "    nginx.ingress.kubernetes.io/proxy-buffering: 'off'\n"
        f"    nginx.ingress.kubernetes.io/server-snippet: include {secret};\n"
        "spec:\n  rules:\n    - http:\n        paths:\n          - path: /events\n"
        "            pathType: Prefix\n"
        "            backend: {service: {name: a, port: {number: 1}}}\n"
    )
    fragment = f"server {{ include {secret}; include {secret.parent}/*.conf; }}\n"
    dump = f"# configuration file nginx.conf:\nhttp {{ include {secret}; }}\n"
    for text in (fragment, manifest, dump):
        good = "".join(f"      {line}\n" for line in text.splitlines())
        _write(folder, RULE[: RULE.index("examples:")] + f"examples:\n  - good: |\n{good}")
        done = _test(folder)
        assert done.returncode == 1
        assert "hunter2" not in done.stdout + done.stderr
        assert "secret.conf" not in done.stdout.replace(str(secret), "")
    _write(folder.parent, fragment.replace(f"include {secret.parent}/*.conf;", ""), "nginx.conf")
    assert "hunter2" in run("nginx.conf", cwd=folder.parent).stderr, "what reading it would show"


def test_a_rule_about_streams_says_nothing_of_comments(folder: Path) -> None:
    """Whatever holds where there is no stream."""
    text = RULE.replace("severity:", "when: {not: {buffered: {is: true}}}\nseverity:")
    _write(folder, text.replace("- error: {<family>_read_timeout: {less_than: 1h}}", "- error"))
    conf = "server { listen 80; } # nginx-stream-lint: ignore\n"
    (folder.parent / "nginx.conf").write_text(conf)
    done = run("nginx.conf", "--rules", "rules", "--format", "concise", cwd=folder.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "short-limit" not in done.stdout
    assert "unused-ignore" in done.stdout


SHORT = """\
name: my-rule
title: A short rule
when: {when}
severity: [warning]
message: "{message}"
why: We say so.
evidence: none
examples: []
"""


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("tier != 'AWS'", ["Cloudflare"]),
        ("not kind", []),
        ("not buffered", ["a stream"]),
        ("not buffered or tier", ["Cloudflare", "a stream"]),
        ("buffered or not tier", []),
        ("tier and (tier_cuts or tier_holds)", ["Cloudflare"]),
    ],
)
def test_a_condition_is_about_one_thing_and_its_alternatives_about_several(
    when: str, says: list[str], folder: Path
) -> None:
    """A part about streams says nothing of the proxy in front, whose facts streams lack."""
    message = "{% if tier %}{{ tier }}{% else %}a stream{% endif %}"
    _write(folder, SHORT.format(when=when, message=message), "my-rule.yaml")
    conf = """server { real_ip_header CF-Connecting-IP; location /e { proxy_pass http://127.0.0.1:1;
        proxy_buffering off; # nginx-stream-lint: stream sse
    } }"""
    (folder.parent / "nginx.conf").write_text(conf)
    found = findings(folder.parent / "nginx.conf", "--rules", folder)
    assert sorted(one["message"] for one in found if one["rule"] == "my-rule") == says


def test_test_takes_nothing_else(folder: Path) -> None:
    _write(folder, RULE)
    done = run("rules", "response-buffering", "--test", "rules", cwd=folder.parent)
    assert done.returncode == 2
    assert "--test cannot be combined" in done.stderr


def test_a_rule_in_full_says_what_it_rests_on(folder: Path) -> None:
    _write(folder, RULE)
    done = run("rules", "short-limit", "--rules", "rules", cwd=folder.parent)
    assert done.returncode == 0
    assert "our incident of last March" in done.stdout


def test_the_rule_of_the_documentation(folder: Path) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "own-rules.md").read_text(encoding="utf-8")
    marked = page.partition("<!-- own rule -->\n```yaml\n")[2].partition("```\n<!-- end")[0]
    _write(folder, marked)
    done = _test(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 example of 1 rule: all right" in done.stdout


# Folders that mean harm, or are merely wrong


def _message(template: str) -> str:
    return RULE.replace('{{ value("<family>_read_timeout") }}', template)


def _condition(text: str) -> str:
    return RULE.replace("severity:", f"when: {text}\nseverity:")


LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
# Each of these expressions is given up after a while.
SPINNING = "".join(
    f'          location ~ "^/(a|a)+!{number}" {{ proxy_pass http://127.0.0.1:8000; }}\n'
    for number in range(100)
)
SPIN = f"""\
  - good: |
      server {{
          location /v1/chat/completions {{
              auth_request /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
              proxy_pass http://vllm;
          }}
{SPINNING}      }}
"""

# Text of the rule file, where it is wrong, what is said.
HOSTILE: dict[str, tuple[str | bytes, str, str]] = {
    "class": (
        _message("{{ family.__class__ }}"),
        "7:10",
        '".__class__" is not allowed in templates',
    ),
    "class by attr": (_message("{{ family | attr('__class__') }}"), "7:10", "unknown filter"),
    "subclasses": (
        _message("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        "7:10",
        "a template can call only value and origin",
    ),
    "item": (_message("{{ family['x'] }}"), "7:10", '"[...]" is not allowed in templates'),
    "globals": (_message("{{ cycler.__init__.__globals__.os }}"), "7:10", '".os" is not'),
    "self": (_message("{{ self }}"), "7:10", 'unknown name "self"'),
    "call": (
        _message("{{ family() }}"),
        "7:10",
        "a template can call only value and origin",
    ),
    "endless loop": (
        _message("{% for a in range(999999999) %}{% endfor %}"),
        "7:10",
        '"for" is not allowed in templates, which support facts, value(',
    ),
    "nested loops": (
        _message("{% for a in holds %}{% for b in holds %}x{% endfor %}{% endfor %}"),
        "7:10",
        '"for" is not',
    ),
    "recursion": (
        _message("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
        "7:10",
        '"macro" is not',
    ),
    "doubling": (_message("{% set a = 'x' ~ family %}{% set a = a ~ a %}"), "7:10", '"set" is not'),
    "100 MB by *": (_message("{{ 'x' * 100000000 }}"), "7:10", '"*" is not allowed in templates'),
    "100 MB by center": (_message("{{ 'x' | center(100000000) }}"), "7:10", "unknown filter"),
    "100 MB by format": (_message("{{ '%0100000000d' | format(1) }}"), "7:10", "unknown filter"),
    "100 MB by %": (
        _message("{{ '%0100000000d' % 1 }}"),
        "7:10",
        '"%" is not allowed in templates',
    ),
    "power": (_message("{{ 9 ** 9 ** 9 }}"), "7:10", '"**" is not allowed in templates'),
    "range": (_message("{{ range(99999999) | length }}"), "7:10", "can call only value and origin"),
    "include": (_message("{% include '/etc/passwd' %}"), "7:10", '"include" is not'),
    "import": (_message("{% import 'os' as os %}"), "7:10", '"import" is not'),
    "extends": (_message("{% extends 'a' %}"), "7:10", '"extends" is not'),
    "no tag": (_message("{% dobby %}"), "7:10", "not a valid template: Encountered unknown tag"),
    "parentheses": (_message("{{ " + "(" * 1500 + " }}"), "7:10", "not a valid template: "),
    "nested if": (
        _message("{% if family %}" * 120 + "{% endif %}" * 120),
        "7:10",
        "it is nested deeper than 20 levels",
    ),
    "many nots": (
        _message("{% if " + "not " * 900 + "family %}{% endif %}"),
        "7:10",
        "not a valid template: it is nested",
    ),
    "regex of a template": (
        _message("{% if matches(target, '(a+)+$') %}a{% endif %}"),
        "7:10",
        "may take too long",
    ),
    "conditions of templates": (
        _message(f"{{% if kind in [{', '.join(['1'] * 201)}] %}}a{{% endif %}}"),
        "7:10",
        "a rule must have at most 200 conditions",
    ),
    "a name of the renderer": (_message("{{ condition(0) }}"), "7:10", "can call only value and"),
    "a condition of the renderer": (
        _message("{% if condition %}{% endif %}"),
        "7:10",
        'unknown name "condition" in a template',
    ),
    "a call in a condition": (
        _message("{% if target.__len__() < 3 %}{% endif %}"),
        "7:10",
        "a template can call only value and origin",
    ),
    "an attribute in a condition": (
        _message("{% if kind.__class__ == 'a' %}{% endif %}"),
        "7:10",
        '".__class__" is not allowed in templates',
    ),
    "arithmetic in a condition": (
        _message("{% if 9 ** 9 ** 9 < held_bytes %}{% endif %}"),
        "7:10",
        '"**" is not allowed in templates',
    ),
    "long template": (_message("x" * 5000), "7:10", "a template must have at most 4000 characters"),
    "large number": (_message("{{ 1e999 | duration }}"), "7:10", "a number must be at most"),
    "long number": (
        _message("{{ " + "9" * 3000 + " | duration }}"),
        "7:10",
        "a number must be at most",
    ),
    "no kind": (
        _message("{{ family | duration }}"),
        "7:10",
        "the filter duration needs a number, but gets text; use another filter or fact",
    ),
    "a number that may be absent": (
        _message("{{ held_bytes | int }}"),
        "7:10",
        "the filter int needs a number, but gets no value; put it into an `if`",
    ),
    "letters of a word": (
        _message("{{ family | listed }}"),
        "7:10",
        "the filter listed needs a list of words, but gets text",
    ),
    "no value in a list": (
        _message("{{ [60, held_bytes] | max }}"),
        "7:10",
        "needs a list of numbers, but gets a list with no value; put it into an `if`",
    ),
    "largest of nothing": (_message("{{ [] | max }}"), "7:10", "needs at least one number"),
    "no argument": (_message("{{ holds | without }}"), "7:10", "takes one text in parentheses"),
    "arguments": (_message("{{ holds | listed('a', 'b') }}"), "7:10", "takes at most one text"),
    "named argument": (_message("{{ [1] | max(default=2) }}"), "7:10", "max takes no argument"),
    "true said": (_message("{{ buffered }}"), "7:10", "true or false is not text; use an `if`"),
    "a list said": (_message("{{ holds }}"), "7:10", "is not text; use a filter such as listed"),
    "no filter": (_message("{{ holds | listd }}"), "7:10", 'did you mean "listed"?'),
    "no directive": (
        _message('{{ value("proxy_bufering") }}'),
        "7:10",
        'value: unknown directive "proxy_bufering"; did you mean "proxy_buffering"?',
    ),
    "another directive": (
        RULE.replace("to: 1h", "to: 1h; load_module /tmp/evil.so"),
        "13:11",
        "the arguments of a directive must not contain ;",
    ),
    "another directive, said": (
        RULE.replace("to: 1h", """to: '{{ "1h; root /" }}'"""),
        "13:11",
        "the arguments of a directive must not contain ;",
    ),
    "regex (a+)+": (_condition("{target: {matches: '(a+)+$'}}"), "4:26", "may take too long"),
    "regex a|a": (_condition("{target: {matches: '(a|a)*b'}}"), "4:26", "may take too long"),
    "regex a?a?": (
        _condition(f"{{target: {{matches: '{'a?' * 40}b'}}}}"),
        "4:26",
        "may take too long",
    ),
    "regex back": (_condition(r"{target: {matches: '(a)\1'}}"), "4:26", "no references"),
    "regex count": (_condition("{target: {matches: 'a{999999999}'}}"), "4:26", "repeats more than"),
    "regex nothing": (_condition("{target: {matches: '(?:){9}'}}"), "4:26", "may be empty"),
    "regex warning": (_condition("{target: {matches: '[[a]'}}"), "4:26", "nested set"),
    "regex long": (_condition(f"{{target: {{matches: '{'a' * 201}'}}}}"), "4:26", "at most 200"),
    "YAML bomb": (f"{LAUGHS}{RULE}", "6:5", "its aliases expand to too many values"),
    "YAML aliases": (f"a: &a 1\nb: [{'*a, ' * 200}]\n{RULE}", "1:1", "too many aliases"),
    "YAML snake": (_condition("&a {not: *a}"), "4:7", "its aliases expand to too many values"),
    "YAML depth": (_condition("[" * 100_000), "4:206", "it is nested deeper than 200"),
    "YAML depth by dashes": (_condition("\n  " + "- " * 100_000), "5:401", "deeper than 200"),
    "conditions' depth": (
        _condition("{not: " * 60 + "x" + "}" * 60),
        "4:247",
        "must not be nested deeper than 40 levels",
    ),
    "conditions": (
        _condition(f"{{any: [{'{buffered: {is: true}}, ' * 300}]}}"),
        "4:4814",
        "at most 200 conditions",
    ),
    "parentheses of a condition": (_condition("(" * 500), "4:27", "it is nested deeper than 20"),
    "nots of a condition": (
        _condition("not " * 500 + "buffered"),
        "4:87",
        "it is nested deeper than 20 levels",
    ),
    "conditions of an expression": (
        _condition("buffered" + " or buffered" * 300),
        "4:7",
        "at most 200 conditions",
    ),
    "long expression": (_condition("buffered" + " " * 5000 + "and kind"), "4:7", "at most 4000"),
    "attribute of a condition": (_condition("kind.__class__"), "4:11", 'unexpected "."'),
    "call of a condition": (_condition("kind()"), "4:11", "the end of the expression"),
    "arithmetic of a condition": (_condition("held_bytes ** 9 < 1"), "4:18", 'unexpected "*"'),
    "long number of a condition": (
        _condition("held_bytes < " + "9" * 3900),
        "4:20",
        "a number must be at most",
    ),
    "regex of a condition": (_condition("matches(target, '(a+)+$')"), "4:23", "may take too long"),
    "comments and streams": (
        _condition("{not: {ignored_rules: {is_set: false}}}"),
        "6:3",
        "a rule about comments can only use ignore_mistake and ignored_rules",
    ),
    "comments and streams in one alternative": (
        _condition("kind == 'sse' or ignored_rules and buffered"),
        "4:7",
        "a rule about comments can only use ignore_mistake and ignored_rules",
    ),
    "snippet over lines": (
        RULE.replace("why:", '  snippet: "{% if family %}\\n{% endif %}"\nwhy:'),
        "14:12",
        "not a valid template: ",
    ),
    "python object": (
        RULE.replace("why: ", "why: !!python/object/apply:os.system "),
        "14:6",
        "tags such as tag:yaml.org,2002:python/object/apply:os.system are not allowed",
    ),
    "python name": (
        RULE.replace("1h}", "!!python/name:os.system }"),
        "5:48",
        "are not allowed in a rule file",
    ),
    "own tag": (
        RULE.replace("why: ", "why: !secret "),
        "14:6",
        "tags such as !secret are not allowed",
    ),
    "date": (RULE.replace("than: 1h", "than: 2026-99-99"), "5:48", "an invalid number or date"),
    "twice": (f"{RULE}why: again\n", "48:1", '"why" is set twice'),
    "key": (f"{RULE}whi: again\n", "48:1", 'unknown key "whi"; did you mean "why"?'),
    "key that is none": (f"{RULE}? [a, b]\n: c\n", "48:3", "expected text"),
    "long key": (f"{RULE}{'k' * 900}: c\n", "48:1", f'unknown key "{"k" * 57}..."'),
    "terminal": (
        RULE.replace("why: We", r'why: "\e[31m"#'),
        "14:6",
        "must not contain control characters",
    ),
    "script": (
        RULE.replace("https://wiki", "javascript:alert(1)//"),
        "16:14",
        "a reference must be a link",
    ),
    "no severity": (
        RULE.replace("severity:\n  - error: {<f", "severity: []\nwhen:\n  not: {<f"),
        "4:11",
        "expected a list of severities",
    ),
    "no value": (RULE.replace("\n      to: 1h", ""), "12:7", "every other step needs it"),
    "latin-1": (
        RULE.replace("We say", "Wé say").encode("latin-1"),
        "14:7",
        "is not UTF-8; save it as UTF-8",
    ),
    "UTF-16": (RULE.encode("utf-16"), "1:1", "is not UTF-8; save it as UTF-8"),
    "NUL": (RULE.replace("We", "W\0e"), "14:7", "control characters are not allowed"),
    "empty": ("", "1:1", "expected a mapping"),
    "large": (RULE + "#" * 300_000, "1:1", "is larger than 256 KB"),
    "name": (RULE.replace("name: s", "name: ../s"), "1:7", "is not a rule name"),
    "shipped name": (
        RULE.replace("name: short-limit", "name: nagle-delay"),
        "1:7",
        'there already is a rule "nagle-delay"',
    ),
    "replaces nothing": (f"{RULE}replaces: [nagle-dely]\n", "48:12", 'did you mean "nagle-delay"?'),
}


def _refused(
    folder: Path,
    *arguments: str,
    place: str,
    says: str,
    command: Callable[..., CompletedProcess[str]] = run,
) -> None:
    """One line on standard error and nothing else, soon."""
    before = os.times()
    done = command(*arguments, cwd=folder.parent)
    after = os.times()
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{place}: "), line
    assert says in line
    assert len(line) < 600
    assert sum(after[:4]) - sum(before[:4]) < LIMIT_S  # its own time, and that of a process


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_rule_is_one_sentence(name: str, folder: Path) -> None:
    text, place, says = HOSTILE[name]
    file = "nagle-delay.yaml" if name == "shipped name" else "short-limit.yaml"
    _write(folder, text, file)
    place = f"rules/{file}:{place}"
    _refused(folder, "rules", "--test", "rules", place=place, says=says, command=run_here)


@pytest.mark.parametrize("name", ["class", "endless loop", "100 MB by *", "YAML bomb", "own tag"])
@pytest.mark.parametrize("command", [("rules", "--rules"), ("nginx.conf", "--rules")])
def test_every_command_says_the_same(name: str, command: tuple[str, ...], folder: Path) -> None:
    text, place, says = HOSTILE[name]
    _write(folder, text)
    _refused(folder, *command, "rules", place=f"rules/short-limit.yaml:{place}", says=says)


def test_an_example_that_spins(folder: Path) -> None:
    _write(folder, RULE + SPIN)
    place = "rules/short-limit.yaml:1:1"
    _refused(
        folder, "rules", "--test", "rules", place=place, says="example 3 (good) takes too long"
    )


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "short-limit.yaml")
    return "rules/short-limit.yaml:1:1: is not a regular file"


def _folder(folder: Path) -> str:
    (folder / "short-limit.yaml").mkdir()
    return "rules/short-limit.yaml:1:1: is a folder"


def _link_out(folder: Path) -> str:
    _write(folder.parent, RULE)
    (folder / "short-limit.yaml").symlink_to("../short-limit.yaml")
    return "rules/short-limit.yaml:1:1: a link that leads out of the folder"


def _link_to_nothing(folder: Path) -> str:
    (folder / "short-limit.yaml").symlink_to("nothing")
    return "rules/short-limit.yaml:1:1: no such file"


def _link_to_itself(folder: Path) -> str:
    (folder / "short-limit.yaml").symlink_to("short-limit.yaml")
    return "rules/short-limit.yaml:1:1: "


def _device(folder: Path) -> str:
    (folder / "short-limit.yaml").symlink_to("/dev/zero")
    return "rules/short-limit.yaml:1:1: a link that leads out of the folder"


def _many(folder: Path) -> str:
    for number in range(201):
        _write(folder, RULE, f"rule-{number}.yaml")
    return "rules:1:1: more than 200 rules in this folder"


def _none(folder: Path) -> str:
    _write(folder, "", "README.md")
    return "rules:1:1: no rules (*.yaml) in this folder"


def _otherwise_named(folder: Path) -> str:
    _write(folder, RULE)
    _write(folder, RULE, "other.yml")
    return "rules/other.yml:1:1: the name of a rule file must end in .yaml"


@pytest.mark.parametrize(
    "make",
    [
        _fifo,
        _folder,
        _link_out,
        _link_to_nothing,
        _link_to_itself,
        _device,
        _many,
        _none,
        _otherwise_named,
    ],
)
def test_a_folder_of_other_things(make: Callable[[Path], str], folder: Path) -> None:
    place, _, says = make(folder).partition(": ")
    _refused(folder, "rules", "--test", "rules", place=place, says=says)
    _refused(folder, "nginx.conf", "--rules", "rules", place=place, says=says)


def test_a_link_within_the_folder_is_read(folder: Path) -> None:
    """As a ConfigMap is mounted."""
    (folder / "data").mkdir()
    _write(folder / "data", RULE)
    (folder / "short-limit.yaml").symlink_to("data/short-limit.yaml")
    assert _test(folder).returncode == 0


# What is let pass does not fail later


def _everywhere() -> list[Facts]:
    """The facts of every stream of every example, and of some places that are rare."""
    texts = [
        text
        for case in cases(load_rules(builtin_folder()))
        for text in (case.example.bad, case.example.good)
        if text is not None
    ]
    texts += [
        "stream { server { listen 1; proxy_pass 127.0.0.1:5; } }",
        "server { location /ws { proxy_pass http://$x; proxy_http_version $v; limit_rate $r;"
        " proxy_buffering $b; proxy_set_header Connection $c; } }",
    ]
    found: list[Facts] = []
    for text in texts:
        name = "example.yaml" if text.startswith("apiVersion:") else "example.conf"
        options = Options(rules=(), all_streams=True)
        report = lint(Workspace.in_memory({name: text}), options=options)
        found += [Facts(one, stream, None, 300) for one in report.proxied for stream in one.streams]
    assert len(found) > 50
    return found


EVERYWHERE = _everywhere()


@pytest.mark.parametrize("name", FACTS)
def test_facts_are_what_their_annotations_say(name: str) -> None:
    seen = {type(facts.value(name)) for facts in EVERYWHERE}
    said = {type(value) for value in samples(name)}
    assert seen <= said | ({int} if float in said else set())


DIRECTIVES = [*table(), *(f"<{name}>" for name in PLACEHOLDERS), "<family>_cache_lock"]


def test_every_directive_can_be_asked_for_everywhere() -> None:
    for facts in EVERYWHERE:
        for name in DIRECTIVES:
            text = f"{{{{ value('{name}') }}}} {{{{ origin('{name}') }}}}"
            assert plain(render(template(text), facts))


_NAMES = st.sampled_from([*FACTS, "delivery_words"])
_LEAVES = st.one_of(
    _NAMES,
    _NAMES,
    st.sampled_from(['"h1"', "0", "3.5", "none", "true", "[1, min_read_timeout_s]"]),
    st.sampled_from(DIRECTIVES).map('value("{}")'.format),
    st.sampled_from(DIRECTIVES).map('origin("{}")'.format),
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["==", "!=", "<", ">=", "in", "not in", "and", "or", "~"])
    filters = st.sampled_from([*FILTERS, 'without("h1")', 'listed("or")'])
    return st.one_of(
        st.tuples(inner, filters).map("({0[0]} | {0[1]})".format),
        st.tuples(inner, operators, inner).map("({0[0]} {0[1]} {0[2]})".format),
        st.tuples(inner, inner, inner).map("({0[0]} if {0[1]} else {0[2]})".format),
        st.tuples(inner, inner).map("({0[0]} if {0[1]})".format),
        inner.map("(not {})".format),
        inner.map("({} is none)".format),
    )


EXPRESSIONS = st.recursive(_LEAVES, _larger, max_leaves=5)


# How Python names types and functions.
_PYTHON = ("NoneType", "'int'", "'str'", "object", "instances of", "__", "()", "['")


@given(EXPRESSIONS)
def test_a_mistake_in_a_template_is_said_in_the_words_of_rules(expression: str) -> None:
    for text in (
        f"{{{{ {expression} }}}}",
        f"{{% if {expression} %}}{{{{ kind }}}}{{% endif %}}",
        f"{{{{ {expression} | duration }}}}",
    ):
        said = template_mistake(template(text), EXPRESSION_CHECKS) or ""
        assert not [word for word in _PYTHON if word in said], said


@given(EXPRESSIONS, st.data())
def test_a_template_that_is_let_pass_is_rendered_or_a_mistake_with_its_place(
    expression: str, data: st.DataObject
) -> None:
    made = template(f"{{{{ {expression} }}}}", ("rules/a.yaml", 7, 10))
    if template_mistake(made, EXPRESSION_CHECKS) is None:
        try:
            plain(render(made, data.draw(st.sampled_from(EVERYWHERE))))
        except Unreadable as stop:
            said = str(stop)
        else:
            return
        assert said.startswith("rules/a.yaml:7:10: this template cannot be rendered")


def test_every_form_of_template_is_let_pass_somewhere() -> None:
    """So the test above is of something."""
    passing = (
        "stalled_clients | clients",
        "breaking_changes | changes",
        'holds | listed("or")',
        'handshake_lacks | without("Upgrade") | listed',
        "throttle | amount",
        "cut_after_s | duration",
        "[3600, min_read_timeout_s] | max | int",
        '"h2" if "h2" in clients else kind ~ "!"',
        "holds | length > 1 and not buffered or held_bytes is none",
    )
    for expression in passing:
        made = template(f"{{% if ({expression}) %}}{{{{ kind }}}}{{% endif %}}")
        assert template_mistake(made, EXPRESSION_CHECKS) is None
        for facts in EVERYWHERE:
            render(made, facts)


@given(
    st.text(alphabet="ab|*+?(){}[]^$.\\1,2:=!<", max_size=24), st.text("ab", max_size=MAX_SUBJECT)
)
def test_a_pattern_that_is_let_pass_ends(pattern: str, subject: str) -> None:
    """Hypothesis' deadline is the time limit."""
    if mistake(pattern) is None:
        assert finds(pattern, subject) is not None


@pytest.mark.parametrize(
    "pattern",
    ["a*a*b", "^a*a*a*b", "(?:aa)*(?:aa)*b", "(a)*(a)*b", f"^{'(?:a|a)' * 20}b", "a?" * 15 + "b"],
)
def test_the_worst_patterns_that_are_let_pass(pattern: str) -> None:
    assert mistake(pattern) is None
    before = os.times().user
    finds(pattern, "a" * MAX_SUBJECT)
    assert os.times().user - before < 1


def test_what_is_too_long_to_search_is_unknown() -> None:
    class Long:
        def value(self, _: str) -> list[str]:
            return ["a", "b" * (MAX_SUBJECT + 1)]

    assert Comparison("x", "matches", "^a$").holds(Long()) is True
    assert Comparison("x", "matches", "^b").holds(Long()) is None
    assert Comparison("x", "is", UNKNOWN).holds(Long()) is False
