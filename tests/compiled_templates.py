"""The templates of the shipped rules as Python: to import Jinja takes longer than a small run.

Jinja reads them; what is written here for each of its nodes is what Jinja's own compiler means by
it. A node that is not here is not in the language of `rules/templates.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jinja2 import nodes

from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.templates import names
from nginx_stream_lint.rules.wording import environment

_OPERATORS = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "lteq": "<=",
    "gt": ">",
    "gteq": ">=",
    "in": "in",
    "notin": "not in",
}


def module(rules: Sequence[Rule]) -> str:
    """The text of the module: for each template its names, and a function of their values."""
    lines = [
        '"""Made of the templates in the rules by `make docs`: edit those, and never this."""',
        "",
        "from nginx_stream_lint.rules.filters import FILTERS as F",
        "",
        "TEMPLATES = {",
    ]
    for text in dict.fromkeys(text for rule in rules for text in _texts(rule) if "{" in text):
        body = _statements(environment().parse(text).body)
        found = f"({''.join(f'{name!r}, ' for name in sorted(names(text)))})"
        lines.append(f"    {text!r}: ({found}, lambda v: {body}),")
    return "\n".join([*lines, "}"]) + "\n"


def _texts(rule: Rule) -> Iterator[str]:
    """All that is rendered of a rule."""
    yield rule.message
    if rule.fix is not None:
        yield rule.fix.title
        yield from rule.fix.snippet.splitlines()
        yield from (step.args for step in rule.fix.steps)


def _statements(body: Sequence[nodes.Node]) -> str:
    parts = [part for node in body for part in _parts(node)]
    return " + ".join(parts) or "''"


def _parts(node: nodes.Node) -> Iterator[str]:
    """Expressions whose texts one after the other are what a statement says."""
    if isinstance(node, nodes.Output):
        for one in node.nodes:
            if isinstance(one, nodes.TemplateData):
                yield repr(one.data)
            else:
                yield f"str({_expression(one)})"
        return
    assert isinstance(node, nodes.If), node
    otherwise = _statements(node.else_)
    choices: list[nodes.If] = [node, *node.elif_]
    for choice in reversed(choices):
        test, body = _expression(choice.test), _statements(choice.body)
        otherwise = f"({body} if {test} else {otherwise})"
    yield otherwise


def _expression(node: nodes.Node) -> str:
    if isinstance(node, nodes.Const):
        return repr(node.value)
    if isinstance(node, nodes.List):
        return f"[{', '.join(map(_expression, node.items))}]"
    if isinstance(node, nodes.Name):
        return f"v[{node.name!r}]"
    if isinstance(node, nodes.Call):
        return f"{_expression(node.node)}({', '.join(map(_expression, node.args))})"
    if isinstance(node, nodes.Filter):
        assert node.node is not None, node
        given = [node.node, *node.args]
        return f"F[{node.name!r}]({', '.join(map(_expression, given))})"
    if isinstance(node, nodes.Test):
        assert node.name == "none", node
        return f"({_expression(node.node)} is None)"
    if isinstance(node, nodes.Compare):
        rest = [f"{_OPERATORS[one.op]} {_expression(one.expr)}" for one in node.ops]
        return f"({' '.join([_expression(node.expr), *rest])})"
    if isinstance(node, nodes.Not):
        return f"(not {_expression(node.node)})"
    if isinstance(node, (nodes.And, nodes.Or)):
        word = "and" if isinstance(node, nodes.And) else "or"
        return f"({_expression(node.left)} {word} {_expression(node.right)})"
    if isinstance(node, nodes.Concat):
        return f"({' + '.join(f'str({_expression(one)})' for one in node.nodes)})"
    assert isinstance(node, nodes.CondExpr), node
    otherwise = "''" if node.expr2 is None else _expression(node.expr2)
    return f"({_expression(node.expr1)} if {_expression(node.test)} else {otherwise})"
