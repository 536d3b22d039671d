"""The description of a rule with its measurements, for the docs and the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nginx_stream_lint.report.blocks import (
    Block,
    Code,
    Heading,
    Items,
    Paragraph,
    Table,
    markdown,
    terminal,
)
from nginx_stream_lint.report.wrapping import WIDTH
from nginx_stream_lint.rules.filters import listed
from nginx_stream_lint.rules.measured import EVIDENCE, TIMED, Measured, Measurements
from nginx_stream_lint.rules.rule import Example, Rule
from nginx_stream_lint.streams.stream import KINDS

_NGINX = "https://nginx.org/en/docs"
_APPLICABILITY = {
    "safe": "Apply it with `--fix`.",
    "unsafe": "Apply it with `--fix --unsafe-fixes`; it may also change other behaviour.",
    "manual": "Apply it manually; `--fix` does not do it.",
}
# What the rules of a group apply to, by the group; rules of other groups apply to streams.
_SUBJECTS = {
    "comments": "ignore comments",
    "blocks": "locations that proxy requests",
    "declarations": "declared streams",
    "handshakes": "handshakes that fail on a real nginx (`--probe`)",
    "twins": "paths that two controllers configure",
}


def rule_markdown(rule: Rule) -> str:
    """The short form for viewers of findings, as Markdown: why, an example, references."""
    return markdown(_short(rule))


def rule_text(rule: Rule) -> str:
    """The short form as plain text."""
    import click

    return click.unstyle(terminal(_short(rule)))


def rule_page(rule: Rule, measured: Measurements) -> str:
    """The page of a rule, as Markdown."""
    return markdown(_full(rule, measured))


def rule_terminal(rule: Rule, measured: Measurements, width: int = WIDTH) -> str:
    """The page of a rule for a terminal of `width` columns, with ANSI colours."""
    return terminal(_full(rule, measured), width)


def reference(text: str) -> str:
    """Render a reference of a rule file as a link: a URL, or `module#directive` of nginx's docs."""
    match = re.fullmatch(r"ngx_(http|stream|)_?(\w+)_module#(\w+)", text)
    if match is None:
        return f"[{re.sub('^https?://', '', text)}]({text})"
    folder = f"{match[1]}/" if match[1] else ""
    page = text.partition("#")[0]
    return f"[nginx: {match[3]}]({_NGINX}/{folder}{page}.html#{match[3]})"


def _short(rule: Rule) -> Iterator[Block]:
    yield Paragraph(rule.why)
    bad = next((example for example in rule.examples if example.bad), None)
    if bad is not None:
        yield from _pair(bad, 3)
    yield from _references(rule, 3)


def _full(rule: Rule, measured: Measurements) -> Iterator[Block]:
    yield Heading(rule.name, 1)
    yield Paragraph(f"{rule.title}.")
    severities = listed([f"`{severity}`" for severity, _ in rule.severity], "or")
    kinds = listed([f"`{kind}`" for kind in rule.kinds])
    word = "kind" if len(rule.kinds) == 1 else "kinds"
    streams = "of every kind" if set(rule.kinds) == set(KINDS) else f"of the {word} {kinds}"
    about = dict.fromkeys(_SUBJECTS.get(one, f"streams {streams}") for one in rule.about)
    yield Paragraph(f"Severity: {severities}. Applies to {', and to '.join(about)}.")
    yield Heading("Why")
    yield Paragraph(rule.why)
    bad = [example for example in rule.examples if example.bad]
    good = [example for example in rule.examples if example.good]
    yield from _evidence(rule, measured)
    if rule.fix is not None:
        yield Heading("The fix")
        title = (
            rule.fix.title.text
            if "{" not in rule.fix.title.text
            else "The fix depends on the case; see the examples"
        )
        yield Paragraph(f"{title}. {_APPLICABILITY[rule.fix.applicability]}")
        cautions = [one for one in rule.fix.steps if one.caution.text]
        if cautions:
            yield Paragraph("These directives of the fix change more than the stream:")
            yield Items(
                tuple(
                    f"`{one.directive}` ({one.applicability}): {one.caution.text}."
                    for one in cautions
                )
            )
    for number, example in enumerate(bad, 1):
        yield Heading(f"Example {number}" if len(bad) > 1 else "Example")
        yield from _pair(example, 3)
    if good:
        yield Heading("Not reported")
        for example in good:
            yield _code(example.good)
    yield Heading("How to ignore it")
    yield Paragraph(
        f"Write `# nginx-stream-lint: ignore[{rule.name}] REASON` at the end of the line, on the"
        f" line above, or above a block. `--ignore {rule.name}` skips the rule for one run."
    )
    yield from _references(rule, 2)


def _pair(example: Example, level: int) -> Iterator[Block]:
    if example.nginx_version is not None:
        version = ".".join(map(str, example.nginx_version))
        yield Paragraph(f"With `--nginx-version {version}`:")
    yield Heading("Bad", level)
    yield _code(example.bad)
    yield Heading("Fixed", level)
    yield _code(example.fixed)


def _code(text: str | None) -> Code:
    """The text of an example, as nginx or Kubernetes code."""
    text = text or ""
    return Code(text, "yaml" if re.search("^apiVersion:", text, re.MULTILINE) else "nginx")


def _evidence(rule: Rule, measured: Measurements) -> Iterator[Block]:
    yield Heading("Evidence")
    kinds: dict[str, list[str]] = {}  # with the numbers of their examples
    for number, example in enumerate((one for one in rule.examples if one.bad), 1):
        kinds.setdefault(example.evidence or rule.evidence, []).append(str(number))
    for kind, numbers in kinds.items():
        measurement = EVIDENCE.get(kind)
        which = f" (example{'s' * (len(numbers) > 1)} {listed(numbers)})" if len(kinds) > 1 else ""
        if measurement is None:
            yield Paragraph(kind)  # a user's own rule describes its evidence in its own words
        elif kind == "accepted":
            yield Paragraph(
                f"Checked on a real nginx{which}: {measurement}. The effect is not measured."
            )
        else:
            yield Paragraph(f"Measured on a real nginx{which}: {measurement}.")
    rows = measured.rules.get(rule.name, ())
    versions = list(dict.fromkeys(version for one in rows for version in one.nginx))
    if rows:
        yield Table(
            ("example", *(f"nginx {version}" for version in versions)),
            tuple(
                (
                    f"{one.example} {one.text}{f', {one.who}' if one.who else ''}",
                    *(one.nginx.get(version, "(not in this version)") for version in versions),
                )
                for one in rows
            ),
        )
        results = [result for one in rows for result in one.nginx.values()]
        shows_tokens = any("token" in result for result in results)
        method = [measured.tokens] if shows_tokens else []
        if working := _working_examples(rows):
            method.append(
                f"The bad {'example' if len(working) == 1 else 'examples'} {listed(working)}"
                f" {'streams' if len(working) == 1 else 'stream'}; the rule warns because a common"
                " change would make the stream stall, or because a setting has no effect."
            )
        if TIMED & kinds.keys():
            method.append(measured.timeouts)
        if method:
            yield Paragraph(" ".join(method))


def _working_examples(rows: Sequence[Measured]) -> list[str]:
    """The numbers of bad examples that stream for every measured client."""
    results: dict[int, list[str]] = {}
    for row in rows:
        if row.text == "bad":
            results.setdefault(row.example, []).extend(row.nginx.values())
    return [
        str(number)
        for number, found in results.items()
        if all(one.startswith("streams:") for one in found)
    ]


def _references(rule: Rule, level: int) -> Iterator[Block]:
    if rule.references:
        yield Heading("References", level)
        yield Items(tuple(reference(one) for one in rule.references))
