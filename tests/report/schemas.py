"""Check each format by its published schema, in tests and on real configurations.

`python -m tests.report.schemas FOLDER` checks every format on up to `--files` files in a folder.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from lxml import etree
from lxml import html as lxml_html

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.report import FORMATS, render
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "tests" / "schemas"
# The schemas of our JSON documents, which the package contains.
PUBLISHED = ROOT / "schema"
RULES = load_rules(builtin_folder())
# The examples of all rules: a file's name, its text, and the nginx version.
EXAMPLES = [
    (f"{rule.name}-{number}-{kind}.{suffix}", text, example.nginx_version)
    for rule in RULES
    for number, example in enumerate(rule.examples, 1)
    for kind in ("bad", "fixed", "good")
    if (text := getattr(example, kind)) is not None
    for suffix in ["yaml" if text.startswith("apiVersion:") else "conf"]
]

# The parts of a finding that are compared: rule, file and severity.
Said = tuple[str, str, str]

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*(?:%3A[^:]*)*)::([^\n]*)")


@cache
def _validator(name: str) -> Any:
    folder = PUBLISHED if name.endswith(".schema.json") else SCHEMAS
    schema = json.loads((folder / name).read_text(encoding="utf-8"))
    if name == "rdformat.json":
        schema = schema["oneOf"][2]  # the schema of the whole result; the others are parts of it
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def _json(name: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        _validator(name).validate(json.loads(text))

    return check


def check_document(command: str, document: object) -> None:
    """Check JSON of one of our commands, or a baseline, by its published schema."""
    _validator(f"{command}.schema.json").validate(document)


@cache
def _junit_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(SCHEMAS / "junit-10.xsd"))


def _junit(text: str) -> None:
    _junit_schema().assertValid(etree.fromstring(text.encode()))


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """GitHub's workflow commands as its runner parses them: name, properties, message."""
    found: list[tuple[str, dict[str, str], str]] = []
    for line in text.removesuffix("\n").split("\n") if text else ():
        match = COMMAND.fullmatch(line)
        assert match is not None, line
        properties = dict(pair.split("=", 1) for pair in match[2].split(","))
        found.append(
            (
                match[1],
                {key: _unescaped(value) for key, value in properties.items()},
                _unescaped(match[3]),
            )
        )
    return found


def _unescaped(text: str) -> str:
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def _github(text: str) -> None:
    for _, properties, message in commands(text):
        assert set(properties) <= {"file", "line", "endLine", "col", "endColumn", "title"}
        assert int(properties["line"]) >= 1
        assert int(properties["col"]) >= 1
        assert message


def _html(text: str) -> None:
    """Check that a page is well-formed HTML that loads nothing."""
    page = lxml_html.document_fromstring(text, parser=lxml_html.HTMLParser(recover=True))
    assert page.xpath("//title")
    assert not page.xpath("//script | //link | //img | //iframe | //*[@src] | //*[@style]")
    assert all(link.startswith("#") for link in page.xpath("//@href"))
    ids = page.xpath("//@id")
    assert {f"#{name}" for name in ids} >= set(page.xpath("//@href"))
    assert len(ids) == len(set(ids))
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        etree.fromstring(svg)
    assert not re.search(r"url\(|@import|https?://", re.sub(r"<body>.*", "", text, flags=re.DOTALL))


CHECKS: dict[str, Callable[[str], object]] = {
    "text": str,  # these two are for people, and have no schema
    "concise": str,
    "json": _json("lint.schema.json"),
    "sarif": _json("sarif-2.1.0-rtm.5.json"),
    "github": _github,
    "gitlab": _json("gitlab-code-quality.json"),
    "junit": _junit,
    "rdjson": _json("rdformat.json"),
    "html": _html,
}
# For each format with a check, a text that the check must refuse.
WRONG = {
    "sarif": '{"version": "2.1.0"}',
    "gitlab": '[{"description": "x"}]',
    "rdjson": '{"diagnostics": [{"message": "x"}]}',
    "junit": "<testsuites><testsuite/></testsuites>",
    "github": "::error file=a,line=0,col=1::x",
    "html": "<html><title>x</title><script>1</script></html>",
    "json": "{}",
}


def _text_findings(text: str) -> set[Said]:
    found: set[Said] = set()
    file = ""
    for line in text.splitlines():
        head = re.match(r"(\S+):\d+: ", line)
        file = head[1] if head else file
        match = re.match(r"  (error|warning|note) (\S+) at ", line)
        if match:
            found.add((match[2], file, match[1]))
    return found


def _concise_findings(text: str) -> set[Said]:
    rows = re.findall(r"^(\S+?):\d+:\d+: (\w+) (\S+) ", text, re.MULTILINE)
    return {(rule, file, severity) for file, severity, rule in rows}


def _json_findings(text: str) -> set[Said]:
    return {(one["rule"], one["file"], one["severity"]) for one in json.loads(text)["findings"]}


def _sarif_findings(text: str) -> set[Said]:
    results: list[dict[str, Any]] = json.loads(text)["runs"][0]["results"]
    return {
        (
            one["ruleId"],
            one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            one["level"],
        )
        for one in results
    }


def _github_findings(text: str) -> set[Said]:
    return {
        (one["title"].partition(":")[0], one["file"], {"notice": "note"}.get(name, name))
        for name, one, _ in commands(text)
    }


def _gitlab_findings(text: str) -> set[Said]:
    words = {"critical": "error", "minor": "warning", "info": "note"}
    return {
        (one["check_name"], one["location"]["path"], words[one["severity"]])
        for one in json.loads(text)
    }


def _junit_findings(text: str) -> set[Said]:
    found: set[Said] = set()
    for case in etree.fromstring(text.encode()).iter("testcase"):
        severity = re.search(r":\d+:\d+: (\w+)", "".join(map(str, case.itertext())))
        assert severity is not None
        name, file = case.attrib["name"], case.attrib["classname"]
        found.add((str(name).partition(":")[0], str(file), severity[1]))
    return found


def _rdjson_findings(text: str) -> set[Said]:
    words = {"ERROR": "error", "WARNING": "warning", "INFO": "note"}
    return {
        (one["code"]["value"], one["location"]["path"], words[one["severity"]])
        for one in json.loads(text)["diagnostics"]
    }


def _html_findings(text: str) -> set[Said]:
    found: set[Said] = set()
    for card in lxml_html.document_fromstring(text).xpath("//section[@class='card']"):
        (where, *_) = card.xpath("./p/text()")
        for one in card.xpath(".//div[@class='finding']"):
            (rule,) = one.xpath("./p/b/text()")
            (severity,) = one.xpath("./p/span/text()")
            found.add((rule, where.strip().partition(":")[0], severity))
    return found


# Reads the findings back from a report.
READ: dict[str, Callable[[str], set[Said]]] = {
    "text": _text_findings,
    "concise": _concise_findings,
    "json": _json_findings,
    "sarif": _sarif_findings,
    "github": _github_findings,
    "gitlab": _gitlab_findings,
    "junit": _junit_findings,
    "rdjson": _rdjson_findings,
    "html": _html_findings,
}


def run_of(path: Path, base: Path | None = None, **options: Any) -> Run:
    """Check one file with all shipped rules; names are relative to the file's folder."""
    report = lint(Workspace.on_disk(str(path)), options=Options(rules=RULES, **options))
    version = options.get("nginx_version")
    return Run(report, RULES, version, 0.5, str(base or path.parent))


def check_all(run: Run) -> None:
    """Check every format of a run by its schema; repeated values in SARIF must agree."""
    for name in FORMATS:
        text = render(name, run)
        text.encode("utf-8")
        CHECKS[name](text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200)
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.folder.rglob("*") if path.is_file())
    step = max(1, len(files) // arguments.files)
    chosen = files[::step][: arguments.files]
    counts: Counter[str] = Counter()
    started = time.monotonic()
    for path in chosen:
        run = run_of(path, all_streams=True)
        try:
            check_all(run)
            assert render("sarif", run) == render("sarif", run_of(path, all_streams=True))
        except Exception as error:
            counts["wrong"] += 1
            print(f"{path}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        counts["files"] += 1
        counts["with findings"] += bool(run.report.findings)
        counts["findings"] += len(run.report.findings)
        counts["with problems"] += bool(run.report.problems)
        counts["streams"] += run.report.streams
    said = ", ".join(f"{number} {name}" for name, number in counts.items())
    print(f"{len(FORMATS)} formats: {said}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
