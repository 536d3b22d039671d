"""The language of rule files: what conditions mean, and what is said of a file that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.cli import cli
from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.rules.conditions import (
    UNKNOWN,
    All,
    AnyOf,
    Builder,
    Comparison,
    Condition,
    ExpressionMistake,
    Not,
    Quantity,
    Truth,
    number,
)
from nginx_stream_lint.rules.expressions import parse
from nginx_stream_lint.rules.facts import FACTS, PLACEHOLDERS
from nginx_stream_lint.rules.rule import RuleMistake
from nginx_stream_lint.rules.rule_file import load_rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

# What conditions mean


class Values:
    """Subjects with given values."""

    def __init__(self, **values: Any) -> None:
        self.values: Mapping[str, Any] = values

    def value(self, subject: str) -> Any:
        return self.values[subject]


class Fixed:
    """A condition with a given truth."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def holds(self, subjects: object) -> Truth:
        del subjects
        return self.truth


YES: Any = Fixed(True)
NO: Any = Fixed(False)
MAYBE: Any = Fixed(None)


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        (All((YES, YES)), True),
        (All((YES, MAYBE)), None),
        (All((MAYBE, NO)), False),
        (All((NO, MAYBE)), False),
        (All(()), True),
        (AnyOf((NO, NO)), False),
        (AnyOf((NO, MAYBE)), None),
        (AnyOf((MAYBE, YES)), True),
        (AnyOf((YES, MAYBE)), True),
        (AnyOf(()), False),
        (Not(YES), False),
        (Not(NO), True),
        (Not(MAYBE), None),
    ],
)
def test_what_is_unknown_stays_unknown_unless_the_rest_decides(
    condition: Condition, truth: Truth
) -> None:
    assert condition.holds(Values()) is truth


@pytest.mark.parametrize(
    ("value", "operator", "operand", "truth"),
    [
        ("on", "is", "on", True),
        ("off", "is", "on", False),
        (None, "is", "on", False),
        (True, "is", True, True),
        (("h1", "h2"), "is", ["h1", "h2"], True),
        ("off", "is_not", "on", True),
        (None, "is_not", "POST", True),
        ("x", "is_set", True, True),
        (None, "is_set", True, False),
        ([], "is_set", False, True),
        (False, "is_set", True, False),
        (["Host", "Connection"], "contains_any", ["connection", "upgrade"], True),
        (["Host"], "contains_any", ["connection"], False),
        ("one", "contains_any", ["ONE"], True),
        (None, "contains_any", ["one"], False),
        ("/v1/chat", "matches", "^/v1/", True),
        (["/a", "/v1/"], "matches", "^/v1/", True),
        (None, "matches", ".*", False),
        ("30s", "less_than", 60, True),
        ("30s", "less_than", "1m", True),
        ("1m", "less_than", "30s", False),
        (30.0, "less_than", 60, True),
        (60, "less_than", 60, False),
        ("4k", "greater_than", 4000, True),
        ("4k", "greater_than", "1m", False),
        (None, "less_than", 60, False),
        (None, "greater_than", 60, False),
        ("words", "less_than", 60, False),
        ([1], "less_than", 60, False),
        (60, "at_most", 60, True),
        (61, "at_most", "60s", False),
        (None, "at_most", 60, False),
        (60, "at_least", 60, True),
        ("59s", "at_least", "1m", False),
        (None, "at_least", 60, False),
        (True, "less_than", 60, False),
        (Quantity("5m", parse_time), "less_than", 301, True),
        (Quantity("5m", parse_time), "greater_than", "4m", True),
        (Quantity("5m", parse_time), "less_than", "1h", True),
        (Quantity("5m", parse_size), "less_than", 301, False),
        (Quantity("5m", parse_size), "greater_than", "4096k", True),
    ],
)
def test_operators(value: Any, operator: str, operand: Any, truth: Truth) -> None:
    assert Comparison("subject", operator, operand).holds(Values(subject=value)) is truth


@pytest.mark.parametrize("operator", ["is", "is_not", "contains_any", "matches", "less_than"])
def test_of_an_unknown_value_nothing_is_true_or_false(operator: str) -> None:
    operand: Any = ["on"] if operator == "contains_any" else "1"
    condition = Comparison("subject", operator, operand)
    assert condition.holds(Values(subject=UNKNOWN)) is None
    assert Not(condition).holds(Values(subject=UNKNOWN)) is None


@pytest.mark.parametrize(
    ("limit", "truth"), [(300.0, True), ("5m", True), (10, False), (UNKNOWN, None), (None, False)]
)
def test_an_order_may_be_with_another_subject(limit: Any, truth: Truth) -> None:
    condition = Comparison("subject", "less_than", "limit")
    assert condition.holds(Values(subject="60s", limit=limit)) is truth


def test_numbers_are_sizes_and_times() -> None:
    texts = ("512", "4k", "90s", "1h", "10ms", "on", "")
    assert [number(text) for text in texts] == [512, 4096, 90, 3600, 0.01, None, None]


def test_every_fact_says_what_it_is() -> None:
    assert all(one.documentation.strip() for one in FACTS.values())
    assert set(FACTS) >= PLACEHOLDERS


# Expressions


def _parsed(text: str) -> Condition:
    return parse(text, Builder())


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("kind", Comparison("kind", "is_set", True)),
        ("not kind", Not(Comparison("kind", "is_set", True))),
        ('kind == "sse"', Comparison("kind", "is", "sse")),
        ("kind != 'sse'", Comparison("kind", "is_not", "sse")),
        ("buffered == false", Comparison("buffered", "is", False)),
        ('value("<family>_buffering") == "on"', Comparison("<family>_buffering", "is", "on")),
        ("held < 60", Comparison("held", "less_than", 60)),
        ("held > 1.5", Comparison("held", "greater_than", 1.5)),
        ('held <= "1h"', Comparison("held", "at_most", "1h")),
        ("held >= limit", Comparison("held", "at_least", "limit")),
        ('"h1" in clients', Comparison("clients", "contains_any", ["h1"])),
        ('"h1" not in clients', Not(Comparison("clients", "contains_any", ["h1"]))),
        (
            'kind in ["sse", "grpc"]',
            AnyOf((Comparison("kind", "is", "sse"), Comparison("kind", "is", "grpc"))),
        ),
        ('matches(target, "^a")', Comparison("target", "matches", "^a")),
        ("held is none", Comparison("held", "is", None)),
        ("held is not none", Not(Comparison("held", "is", None))),
        (
            "a or b and not (c or d)",
            AnyOf(
                (
                    Comparison("a", "is_set", True),
                    All(
                        (
                            Comparison("b", "is_set", True),
                            Not(
                                AnyOf(
                                    (
                                        Comparison("c", "is_set", True),
                                        Comparison("d", "is_set", True),
                                    )
                                )
                            ),
                        )
                    ),
                )
            ),
        ),
    ],
)
def test_an_expression_is_a_condition(expression: str, condition: Condition) -> None:
    assert _parsed(expression) == condition
    assert _parsed(expression.replace(" ", "\n   ")) == condition


@given(st.text(alphabet="ab12 .'\"()[]<>=!,not and in value matches", max_size=40))
def test_any_text_is_an_expression_or_a_mistake_within_it(text: str) -> None:
    offset = 0
    with suppress(ExpressionMistake):
        try:
            _parsed(text)
        except ExpressionMistake as mistake:
            offset = mistake.offset
            raise
    assert 0 <= offset <= len(text)


def test_every_shipped_condition_is_an_expression() -> None:
    """Mappings stay for older rules; ours say things as their messages do."""
    for path in builtin_folder().glob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"\s*(?:when|- error|- warning|- note): *(?:\{|$)", line), path


# What is said of a file that is wrong

RULE = """\
name: my-rule
title: A limit of ours
kinds: [sse]
when: {<family>_read_timeout: {greater_than: 1h}}
severity:
  - error: {kind: {is: sse}}
  - warning
at: <family>_read_timeout
message: The {{ family }} timeout is {{ value("<family>_read_timeout") }}, ours is an hour
fix:
  title: Use ours
  applicability: safe
  steps:
    - set: <family>_read_timeout
      to: 1h
why: We say so.
evidence: accepted
examples:
  - good: server {}
"""
WHEN = "when: {<family>_read_timeout: {greater_than: 1h}}"


def _load(folder: Path, text: str, name: str = "my-rule.yaml") -> None:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    load_rule(path)


def test_the_rule_that_is_made_wrong_below_is_right(tmp_path: Path) -> None:
    _load(tmp_path, RULE)


@pytest.mark.parametrize(
    ("before", "after", "place", "message"),
    [
        ("title:", "titel:", "2:1", 'unknown key "titel"; did you mean "title"?'),
        ("title: A limit of ours\n", "", "1:1", '"title" is missing'),
        ("title: A limit of ours", "title: a\ntitle: b", "3:1", '"title" is set twice'),
        ("title: A limit of ours", "title: [a]", "2:8", "expected text"),
        ("name: my-rule", "name: My Rule", "1:7", '"My Rule" is not a rule name'),
        (
            "name: my-rule",
            "name: other",
            "1:7",
            'the file of rule "other" must be named other.yaml',
        ),
        ("kinds: [sse]", "kinds: [see]", "3:9", 'unknown word "see"; did you mean "sse"?'),
        ("kinds: [sse]", "kinds: sse", "3:8", "expected a list"),
        ("kinds: [sse]", "levels: [http]", "3:10", 'unknown word "http"'),
        ("when: {<f", "when: {x: z, <f", "4:7", "a condition must have one key"),
        ("{greater_than: 1h}", "1h", "4:31", "expected a mapping"),
        ("{greater_than: 1h}", "{}", "4:31", "expected one operator of: is, is_not"),
        ("greater_than", "more_than", "4:32", 'unknown key "more_than"; did you mean'),
        ("greater_than: 1h", "is_set: 1h", "4:40", "is_set needs true or false"),
        ("greater_than: 1h", "contains_any: 1h", "4:46", "contains_any needs a list"),
        ("greater_than: 1h", "matches: '('", "4:41", "not a valid regular expression"),
        ("greater_than: 1h", "greater_than: [1]", "4:46", "greater_than needs a number"),
        ("greater_than: 1h", "greater_than: min_read", "4:46", 'unknown subject "min_read"; did'),
        ("greater_than: 1h", "greater_than: 1parsec", "4:46", 'unknown subject "1parsec"'),
        ("greater_than: 1h", "is: 60", "4:36", 'the value of a directive is text: "60"'),
        ("greater_than: 1h", "is: off", "4:36", 'off must be quoted: "off"'),
        (WHEN, "when: bufered and kind", "4:7", 'unknown name "bufered"; did you mean "buffered"?'),
        (
            WHEN,
            "when: kind and bufered",
            "4:16",
            'unknown name "bufered"; did you mean "buffered"?',
        ),
        (WHEN, "when: 'kind and bufered'", "4:7", 'unknown name "bufered"'),
        (WHEN, "when: kind ==\n  bufered", "4:7", 'unknown name "bufered"'),
        (WHEN, "when: proxy_buffering", "4:7", 'write value("proxy_buffering")'),
        (WHEN, 'when: value("proxy_bufering")', "4:13", 'did you mean "proxy_buffering"?'),
        (WHEN, "when: value(kind)", "4:13", "value needs the name of one directive"),
        (WHEN, 'when: value("proxy_method") == 1', "4:32", 'of a directive is text: "1"'),
        (WHEN, 'when: kind == "sse" kind', "4:21", "`and`, `or` or the end of the expression"),
        (WHEN, 'when: kind = "sse"', "4:12", 'not a valid expression: unexpected "="'),
        (WHEN, "when: kind == method", "4:15", "== and != need a constant on the right"),
        (WHEN, "when: 1 < held_bytes", "4:7", "a comparison must start with a name"),
        (WHEN, 'when: held_bytes < "soon"', "4:20", "less_than needs a number"),
        (WHEN, "when: kind in clients", "4:15", 'expected "[", not "clients"'),
        (WHEN, 'when: kind in ["sse", method]', "4:23", "a list must contain only constants"),
        (
            WHEN,
            "when: '\"h\" in kind'",
            "4:7",
            'kind is not a list; write kind == "h", or matches(',
        ),
        (WHEN, "when: 'clients == \"h2\"'", "4:7", 'clients is a list; write "h2" in clients'),
        (WHEN, "when: kind is one", "4:15", 'expected "none", not "one"'),
        (WHEN, "when: not", "4:10", "expected a name, a number or quoted text, not the end"),
        (WHEN, "when: (kind", "4:12", 'expected ")", not the end'),
        (WHEN, 'when: matches(kind, "(")', "4:21", "not a valid regular expression"),
        (WHEN, "when: matches(kind, method)", "4:21", "expected a constant"),
        (WHEN, "when: [kind]", "4:7", "expected a mapping"),
        ("error: {kind: {is: sse}}", "error: kinds", "6:12", 'did you mean "kind"?'),
        ("when: {<family>_read_timeout", "when: {proxy_bufering", "4:7", "unknown subject"),
        ("when: {<family>_read_timeout", "when: {bufered", "4:7", 'did you mean "buffered"?'),
        ("error: {kind", "fatal: {kind", "6:5", 'unknown key "fatal"'),
        ("  - warning", "  - warnings", "7:5", 'unknown word "warnings"; did you mean "warning"?'),
        ("at: <family>_read_timeout", "at: <kind>", "8:5", 'unknown directive "<kind>"'),
        ("at: <family>_read_timeout", "blames: lissen ssl", "8:9", 'unknown directive "lissen"'),
        ("{{ family }}", "{{ famly }}", "9:10", 'unknown name "famly" in a template; did you'),
        ("{{ family }}", "{% if %}", "9:10", "not a valid template: "),
        ("applicability: safe", "applicability: sure", "12:18", 'unknown word "sure"'),
        ("    - set:", "    - unset:", "14:7", 'unknown key "unset"'),
        (
            "    - set: <family>_read_timeout\n      to",
            "    - to",
            "14:7",
            "a step must have one of",
        ),
        ("to: 1h", "to: on", "15:11", 'on must be quoted: "on"'),
        ("to: 1h", "to: 1h\n      scope: file", "16:14", 'unknown word "file"'),
        ("to: 1h", "to: 1h\n      caution: '{{ famly }}'", "16:16", 'unknown name "famly"'),
        (
            "to: 1h",
            "to: 1h\n      caution: Beware\n      applicability: safe",
            "17:22",
            "a step with a caution must not be safe",
        ),
        (
            "- good: server {}",
            "- good: a\n    bad: b",
            "19:5",
            "an example needs `bad` and `fixed`",
        ),
        ("- good: server {}", "- bad: a", "19:5", "an example needs `bad` and `fixed`, or `good`"),
        ("- good", "- nginx_version: new\n    good", "19:20", '"new" is not an nginx version'),
        ("why: We say so.", "why: &a [*a]", "16:6", "its aliases expand to too many values"),
        ("why: We", "why: 'We", "20:1", None),
    ],
)
def test_mistakes_are_named_with_their_place(
    before: str, after: str, place: str, message: str | None, tmp_path: Path
) -> None:
    assert before in RULE
    with pytest.raises(RuleMistake) as stop:
        _load(tmp_path, RULE.replace(before, after, 1))
    said = str(stop.value)
    assert said.startswith(f"{tmp_path}/my-rule.yaml:{place}: ")
    assert message is None or message in said


def test_a_caution_makes_a_step_unsafe(tmp_path: Path) -> None:
    for more, applicability in (("", "unsafe"), ("\n      applicability: manual", "manual")):
        caution = "\n      caution: Slow {{ kind }} clients stay longer"
        path = tmp_path / "my-rule.yaml"
        path.write_text(RULE.replace("to: 1h", f"to: 1h{caution}{more}"), encoding="utf-8")
        rule = load_rule(path)
        assert rule.fix is not None
        (step,) = rule.fix.steps
        assert step.applicability == applicability
        assert step.caution.text == "Slow {{ kind }} clients stay longer"


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "OFF", "y", "n"])
def test_words_that_other_readers_take_for_booleans_must_be_quoted(
    word: str, tmp_path: Path
) -> None:
    wrong = RULE.replace("greater_than: 1h", f"is: {word}")
    with pytest.raises(RuleMistake, match=f':4:36: {word} must be quoted: "{word}"$'):
        _load(tmp_path, wrong)
    _load(tmp_path, RULE.replace("greater_than: 1h", f'is: "{word}"'))
    _load(tmp_path, RULE.replace("greater_than: 1h", f"is: '{word}'"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"- a list"])
def test_a_file_that_is_no_rule_is_a_mistake(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "my-rule.yaml"
    path.write_bytes(content)
    with pytest.raises(RuleMistake, match=r"my-rule\.yaml:1:1: "):
        load_rule(path)


def test_a_folder_without_rules_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RuleMistake, match="no rules"):
        load_rules(tmp_path)


def test_two_rules_cannot_have_one_name(tmp_path: Path) -> None:
    text = RULE.replace("my-rule", "response-buffering")
    (tmp_path / "response-buffering.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RuleMistake, match='there already is a rule "response-buffering"'):
        load_rules(builtin_folder(), tmp_path)


def test_a_rule_can_only_replace_one_that_is_there(tmp_path: Path) -> None:
    for name in ("response-bufering", "response-buffering"):
        (tmp_path / name).mkdir()
        text = f"{RULE}replaces: [{name}]\n"
        (tmp_path / name / "my-rule.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RuleMistake, match='did you mean "response-buffering"'):
        load_rules(builtin_folder(), tmp_path / "response-bufering")
    mine = load_rules(builtin_folder(), tmp_path / "response-buffering")[-1]
    assert mine.replaces == ("response-buffering",)


def test_the_texts_of_the_shipped_rules_are_right() -> None:
    for path in builtin_folder().glob("*.yaml"):
        load_rule(path)


# Adding a rule touches one file

CONF = """\
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


def _run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["lint", *args])


def test_adding_a_rule_touches_one_file(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF, encoding="utf-8")
    assert _run(str(conf)).exit_code == 0

    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "my-rule.yaml").write_text(RULE, encoding="utf-8")
    with_it = ("--rules", str(folder), str(conf))
    result = _run("--format", "json", *with_it)
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["rule"] == "my-rule"
    assert finding["severity"] == "error"
    assert finding["message"] == "The proxy timeout is 2h, ours is an hour"
    assert (finding["line"], finding["column"]) == (7, 9)
    assert finding["fix"]["snippet"] == "proxy_read_timeout 1h;"

    assert _run("--ignore", "my-rule", *with_it).exit_code == 0
    assert _run("--select", "response-buffering", *with_it).exit_code == 0
    assert _run("--fix", *with_it).exit_code == 0
    assert conf.read_text(encoding="utf-8") == CONF.replace("2h", "1h")


def test_a_wrong_rule_is_said_and_nothing_else(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF, encoding="utf-8")
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "my-rule.yaml").write_text(RULE.replace("why:", "wy:"), encoding="utf-8")
    result = _run("--rules", str(folder), str(conf))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f'{folder}/my-rule.yaml:16:1: unknown key "wy"; did you mean "why"?\n'


def test_a_value_with_a_variable_makes_no_finding(tmp_path: Path) -> None:
    """A rule about a value that only a request decides is silent, and so is its opposite."""
    conf = tmp_path / "nginx.conf"
    text = CONF.replace("proxy_read_timeout 2h", "proxy_read_timeout 1h; limit_rate $limit")
    conf.write_text(text, encoding="utf-8")
    conditions = ("{limit_rate: {is: '0'}}", "{not: {limit_rate: {is: '0'}}}")
    for number_, condition in enumerate(conditions):
        folder = tmp_path / f"rules{number_}"
        folder.mkdir()
        rule = RULE.replace("{<family>_read_timeout: {greater_than: 1h}}", condition)
        (folder / "my-rule.yaml").write_text(rule, encoding="utf-8")
        result = _run("--rules", str(folder), "--select", "my-rule", str(conf))
        assert result.exit_code == 0, result.output
