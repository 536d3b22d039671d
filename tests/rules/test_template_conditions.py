"""An expression means the same in `when` as in the `{% if %}` of a message."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.nodes import Template

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.rules.conditions import (
    UNKNOWN,
    Condition,
    ExpressionMistake,
    Quantity,
    Subjects,
    Truth,
)
from nginx_stream_lint.rules.expressions import parse
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.rule_file import EXPRESSION_CHECKS
from nginx_stream_lint.rules.template_check import mistake
from nginx_stream_lint.rules.template_names import template
from nginx_stream_lint.rules.templates import CompiledTemplate, environment, plain, render

# Times, sizes, flags, lists, unset directives, and values that only a request decides.
CONF = """\
events { worker_connections 512; }
http {
    upstream app { server 127.0.0.1:8000; }
    server {
        location /set {
            proxy_pass http://app;
            proxy_read_timeout 5m;
            proxy_send_timeout 1h;
            proxy_buffer_size 16k;
            proxy_buffering ON;
            proxy_http_version 1.0;
            proxy_method POST;
            limit_rate 5m;
            gzip_types text/event-stream application/json;
            proxy_set_header Connection "";
        }
        location /unknown {
            proxy_pass http://$app;
            proxy_http_version 1.1;
            proxy_method $method;
            limit_rate $rate;
            proxy_set_header Connection $connection;
        }
        location /fastcgi { fastcgi_pass app; fastcgi_read_timeout 90s; }
    }
}
"""


def _places() -> list[Facts]:
    workspace = Workspace.in_memory({"nginx.conf": CONF})
    report = lint(workspace, options=Options(rules=(), all_streams=True))
    return [Facts(one, stream, None, 300) for one in report.proxied for stream in one.streams]


PLACES = _places()
DIRECTIVES = [
    "<family>_read_timeout",
    "proxy_send_timeout",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_http_version",
    "proxy_method",
    "proxy_cache",
    "limit_rate",
    "gzip_types",
    "worker_connections",
    "fastcgi_read_timeout",
]


class Values:
    """Subjects with given values."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def value(self, subject: str) -> Any:
        return self.values[subject]


def _condition(expression: str) -> Condition | None:
    with suppress(ExpressionMistake):
        return parse(expression, EXPRESSION_CHECKS)
    return None


def _is_template(text: str) -> bool:
    return mistake(template(text), EXPRESSION_CHECKS) is None


def _is_said(expression: str, subjects: Facts | Subjects) -> bool:
    text = f"{{% if {expression} %}}yes{{% else %}}no{{% endif %}}"
    return plain(render(template(text), subjects)) == "yes"


_FACTS = st.sampled_from(sorted(FACTS))
_SUBJECTS = st.one_of(_FACTS, st.sampled_from(DIRECTIVES).map('value("{}")'.format))
_WORDS = st.sampled_from(
    ['"1h"', '"16k"', '"5m"', '"on"', '"ON"', '"h2"', '"H2"', '"sse"', '"POST"', '"1.0"', '""']
)
_NUMBERS = st.sampled_from(["0", "1", "60", "61", "1.0", "1.5", "300", "512", "16384"])
_CONSTANTS = st.one_of(_WORDS, _NUMBERS, st.sampled_from(["true", "false"]))
_TESTS = st.one_of(
    _SUBJECTS,
    st.tuples(_SUBJECTS, st.sampled_from(["==", "!="]), _CONSTANTS).map(" ".join),
    st.tuples(
        _SUBJECTS, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(_CONSTANTS, _SUBJECTS)
    ).map(" ".join),
    st.tuples(_WORDS, st.sampled_from(["in", "not in"]), _SUBJECTS).map(" ".join),
    st.tuples(_SUBJECTS, st.sampled_from(["in", "not in"]), _CONSTANTS, _CONSTANTS).map(
        "{0[0]} {0[1]} [{0[2]}, {0[3]}]".format
    ),
    st.tuples(_SUBJECTS, st.sampled_from(["is none", "is not none"])).map(" ".join),
    st.tuples(_SUBJECTS, st.sampled_from(['"^1"', '"o"', '"http"', '""'])).map(
        "matches({0[0]}, {0[1]})".format
    ),
)
_EXPRESSIONS = st.recursive(
    _TESTS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map("".join),
        inner.map("not {}".format),
        inner.map("({})".format),
    ),
    max_leaves=6,
)
_VALUES = st.one_of(
    st.sampled_from([None, True, False, UNKNOWN, "", "1h", "on", "h2", [], ["h2"], ["1h", "x"]]),
    st.sampled_from([0, 1, 60, 61.0, 1.5, 16384, float("inf")]),
    st.sampled_from(["5m", "1h", "90", ""]).map(lambda text: Quantity(text, parse_time)),
    st.sampled_from(["5m", "16k", "90", "x"]).map(lambda text: Quantity(text, parse_size)),
)


@given(_EXPRESSIONS)
def test_when_and_if_accept_the_same_expressions(expression: str) -> None:
    accepted = _condition(expression) is not None
    assert accepted is _is_template(f"{{% if {expression} %}}yes{{% endif %}}")
    assert accepted is _is_template(f'{{{{ "yes" if {expression} else "no" }}}}')


@given(_EXPRESSIONS, st.sampled_from(PLACES))
def test_an_expression_means_the_same_in_if_as_in_when(expression: str, facts: Facts) -> None:
    condition = _condition(expression)
    if condition is not None:
        assert (condition.holds(facts) is True) is _is_said(expression, facts)


@given(_EXPRESSIONS, st.data())
def test_it_does_with_any_values(expression: str, data: st.DataObject) -> None:
    condition = _condition(expression)
    if condition is not None:
        names = [*FACTS, *DIRECTIVES]
        values = Values({name: data.draw(_VALUES) for name in names if name in expression})
        assert (condition.holds(values) is True) is _is_said(expression, values)


@pytest.mark.parametrize(
    ("expression", "place", "truth"),
    [
        ('value("proxy_read_timeout") < "1h"', 0, True),
        ('value("proxy_read_timeout") < value("proxy_send_timeout")', 0, True),
        ('value("proxy_buffer_size") < "16k"', 0, False),
        ('value("proxy_buffer_size") <= 16384', 0, True),
        ('value("proxy_buffering") == "on"', 0, True),
        ('value("limit_rate") == "5m" and value("limit_rate") > 300', 0, True),
        ('"application/json" in value("gzip_types")', 0, True),
        ('value("worker_connections") < 1024', 0, True),
        ("is_endless < 1", 0, False),
        ("throttle < 6900", 1, None),
        ("not throttle", 1, None),
        ('not (value("limit_rate") == "1k" or kind == "none")', 1, None),
        ('value("proxy_method") != "POST"', 1, None),
        ('value("<family>_http_version") == ""', 2, False),
        ('value("<family>_http_version") is none', 2, True),
        ('value("<family>_read_timeout") == "90s"', 2, True),
        ('matches(target, "^app$")', 2, True),
    ],
)
def test_values_are_compared_as_nginx_reads_them(expression: str, place: int, truth: Truth) -> None:
    """What is unknown gives the text of `else`, and so does its opposite."""
    condition = _condition(expression)
    assert condition is not None
    assert condition.holds(PLACES[place]) is truth
    assert _is_said(expression, PLACES[place]) is (truth is True)
    assert _is_said(f"not ({expression})", PLACES[place]) is (truth is False)


@pytest.mark.parametrize(
    "other",
    [
        "holds | length > 0",
        'kind ~ "!" == "sse!"',
        "delivery_words",
        '"here" in origin("proxy_http_version")',
        '"h2" not in clients | without("h2")',
        'kind in ["s" ~ "se"]',
    ],
)
@pytest.mark.parametrize("known", ["kind", "not kind"])
def test_what_only_templates_have_combines_with_the_rest(other: str, known: str) -> None:
    """Unknown parts are false in both directions, at every depth."""
    unknown = 'value("limit_rate") < 5'
    facts = PLACES[1]
    for test in (known, other, f"not ({other})"):
        is_said = _is_said(test, facts)
        assert _is_said(f"{test} or {unknown}", facts) is is_said
        assert _is_said(f"not (not ({test}) or {unknown})", facts) is False
        assert _is_said(f"not ({unknown} and not ({test}))", facts) is is_said
        assert _is_said(f"{test} and not ({unknown})", facts) is False


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{% if "1h" > value("proxy_read_timeout") %}a{% endif %}', "must start with a name"),
        ("{% if 1 < held_bytes < 5 %}a{% endif %}", "combine several comparisons with `and`"),
        ("{% if kind == method %}a{% endif %}", "== and != need a constant on the right"),
        ('{% if "h" in kind %}a{% endif %}', 'kind is not a list; write kind == "h", or matches('),
        ('{% if clients == "h2" %}a{% endif %}', 'clients is a list; write "h2" in clients'),
        ('{% if cut_after_s < "soon" %}a{% endif %}', "less_than needs a number, a time"),
        ('{% if value("proxy_method") == 1 %}a{% endif %}', 'of a directive is text: "1"'),
        ('{% if value("proxy_method") ~ "" < "1h" %}a{% endif %}', "are only for numbers"),
        ("{% if holds | length < held_bytes %}a{% endif %}", "are only for numbers"),
        ('{% if kind in clients | without("h2") %}a{% endif %}', "is only for text"),
        ('{% if "1" in holds | length %}a{% endif %}', "is only for text"),
        ('{% if 1 in origin("proxy_buffering") %}a{% endif %}', "is only for text"),
        ("{% if true %}a{% endif %}", "must start with a name"),
        ("{% if kind is defined %}a{% endif %}", "only `is none` is supported"),
        ("{% if matches(kind) %}a{% endif %}", "matches needs a name and a pattern"),
        ("{% if matches %}a{% endif %}", "matches needs a name and a pattern"),
        ("{{ kind < 5 }}", "a comparison is not allowed outside the condition of an `if`"),
        ('{{ cut_by or "none" }}', '"or" is not allowed outside the condition of an `if`'),
        ('{{ matches(kind, "s") }}', "not allowed outside the condition of an `if`"),
        ('{{ kind if "x" in clients }}', "needs an `else`"),
    ],
)
def test_a_template_has_no_other_comparisons(text: str, says: str) -> None:
    found = mistake(template(text), EXPRESSION_CHECKS)
    assert found is not None
    assert says in found


NAMES = ("buffered", "is_endless", "app_asks_for_buffering", "closes_upstream_connections", "kind")


def test_a_template_is_compiled_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An own rule may have many conditions, and a configuration many locations."""
    text = "".join(
        f"{{% if {name} %}}{at}{{% elif not kind %}}-{{% else %}}"
        f"{{{{ 'b' if {name} else 'c' if kind else 'd' }}}}{{% endif %}}"
        for at, name in enumerate(NAMES)
    )
    program = CompiledTemplate(text)
    compile_it = environment().from_string
    bodies: list[object] = []

    def counted(body: Template) -> object:
        bodies.append(body)
        return compile_it(body)

    monkeypatch.setattr(environment(), "from_string", counted)
    for values in product((True, False), repeat=len(NAMES)):
        has = dict(zip(NAMES, values, strict=True))
        expected = [
            str(at) if has[name] else "c" if has["kind"] else "-" for at, name in enumerate(NAMES)
        ]
        assert list(map(str, program.render({}, Values(has)))) == expected
    assert len(bodies) == 17  # of 32: sixteen of their own, and the whole for all others
