"""The generated pages of the docs, and the schemas of settings and rules: `make docs`.

tests/test_pages.py fails if a page differs from what this generates.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from nginx_stream_lint.report.blocks import Block, Code, Heading, Paragraph, Table, markdown
from nginx_stream_lint.report.rule import rule_page
from nginx_stream_lint.rules.facts import FACTS
from nginx_stream_lint.rules.measured import measured
from nginx_stream_lint.rules.rule_form import schema as rule_schema
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.settings.page import settings_page
from nginx_stream_lint.settings.schema import schema
from tests.conformance.folklore import ADVICES, Advice, recorded
from tests.json_page import json_page
from tests.proxies_page import proxies_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGE = DOCS.parent / "src" / "nginx_stream_lint"
SCHEMA = DOCS.parent / "schema" / "settings.schema.json"
RULE_SCHEMA = SCHEMA.with_name("rule.schema.json")


def pages() -> dict[str, str]:
    """Every generated page by its path below docs/."""
    rules = load_rules(builtin_folder())
    found = {f"rules/{rule.name}.md": rule_page(rule, measured()) for rule in rules}
    found["rules/index.md"] = markdown(
        [
            Heading("Rules", 1),
            Paragraph(
                "The page of each rule says what was measured on a real nginx. nginx cannot show"
                " the effects of browsers, networks and other proxies, so the pages of rules about"
                " them say that the effect is not measured. The table has the highest severity of"
                " each rule; a finding may have a lower one."
                " [Severities](../lint.md#severities) says what error, warning and note mean,"
                " [Your own rules](../own-rules.md) how to add a rule."
                " `nginx-stream-lint rules RULE` shows the page of a rule in a terminal."
            ),
            Table(
                ("rule", "severity", "title"),
                tuple(
                    (f"[{rule.name}]({rule.name}.md)", rule.highest_severity, rule.title)
                    for rule in rules
                ),
            ),
        ]
    )
    found["folklore.md"] = markdown(_folklore())
    found["settings.md"] = markdown(settings_page())
    found["json.md"] = markdown(json_page())
    found["proxies.md"] = markdown(proxies_page())
    architecture = (DOCS / "architecture.md").read_text("utf-8")
    found["architecture.md"] = _with_facts(_with_modules(architecture))
    return found


def _with_facts(text: str) -> str:
    """The page with one row for each fact, by subject: its docstring."""
    by_subject = sorted(FACTS.items(), key=lambda row: row[1].value.__module__)
    rows = [
        f"| `{name}` | {' '.join(fact.documentation.split()).removesuffix('.')} |\n"
        for name, fact in by_subject
    ]
    start = text.index("| --- | --- |\n", text.index("\n### Facts\n")) + len("| --- | --- |\n")
    return text[:start] + "".join(rows) + text[text.index("\n\n", start) + 1 :]


def _with_modules(text: str) -> str:
    """The page with one row for each module, below the row of its folder."""
    start, end = text.index("\n## The parts\n"), text.index("\n## A rule file\n")
    folders = re.sub(r"^\| `.*\n", "", text[start:end], flags=re.MULTILINE)
    parts = re.sub(
        r"^\| \*\*`(\w+)/`\*\* .*\n",
        lambda row: row[0] + "".join(_module_rows(PACKAGE / row[1])),
        folders,
        flags=re.MULTILINE,
    )
    return text[:start] + parts + text[end:]


def _module_rows(folder: Path) -> Iterator[str]:
    """The modules of a folder, each with the first paragraph of its docstring."""
    for path in sorted(folder.rglob("*.py"), key=Path.as_posix):
        if path.name != "__init__.py":
            words = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n\n")
            said = " ".join(words[0].split()).removesuffix(".")
            yield f"| `{path.relative_to(PACKAGE).as_posix()}` | {said} |\n"


def settings_schema() -> str:
    """The text of the published JSON schema."""
    rules = load_rules(builtin_folder())
    names = sorted({name for rule in rules for name in (rule.name, *rule.renamed_from)})
    return json.dumps(schema(names), indent=2, ensure_ascii=False) + "\n"


def published_rule_schema() -> str:
    """The text of the published JSON schema of rule files."""
    return json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n"


def _folklore() -> Iterator[Block]:
    yield Heading("Folklore", 1)
    yield Paragraph(
        "Common advice for streams that stall behind nginx, measured. A program of this project"
        " (tests/conformance/folklore.py) measured each row on a real nginx, without the advice"
        " and with it."
    )
    yield Paragraph(measured().tokens.split(", unless")[0] + ".")
    for advice in ADVICES:
        yield from _advice(advice)


def _advice(advice: Advice) -> Iterator[Block]:
    tried = recorded()[advice.name]
    yield Heading(advice.name)
    yield Code(advice.advice, "nginx" if advice.advice.endswith(";") else "text")
    yield Paragraph(f"*The hope:* {advice.hope}")
    rows: list[tuple[str, ...]] = []
    for case in advice.cases:
        one = tried[case.name]
        for version, without in one.without.items():
            with_it = one.with_it[version]
            rows.append((case.name, version, without, with_it, _effect(without, with_it)))
    yield Table(("situation", "nginx", "without", "with", "the advice"), tuple(rows))
    yield Paragraph(advice.matter)


def _effect(without: str, with_it: str) -> str:
    """What the advice did, by the verdicts."""
    before, after = (text.partition(":")[0] for text in (without, with_it))
    if before == after:
        return "changes nothing"
    return "helps" if after == "streams" else "**harms**"


def main() -> None:
    wanted = pages()
    for path in (DOCS / "rules").glob("*.md"):
        if f"rules/{path.name}" not in wanted:
            path.unlink()
    for name, text in wanted.items():
        target = DOCS / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
    SCHEMA.write_text(settings_schema(), encoding="utf-8")
    RULE_SCHEMA.write_text(published_rule_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
