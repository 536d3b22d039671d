"""The docs: generated pages are what the code makes of them, figures are those of today's rules.

Where one of these fails: `make docs` writes the pages, `make evidence` measures again.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from nginx_stream_lint.probe import DrippingUpstream, NginxBinary
from nginx_stream_lint.report.rule import reference
from nginx_stream_lint.rules.measured import EVIDENCE, measured
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from tests.command import run_here
from tests.conformance import folklore, record
from tests.pages import DOCS, pages

ROOT = DOCS.parent
RULES = load_rules(builtin_folder())
PAGES = pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_pages_are_those_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], "make docs"


def test_no_page_is_about_a_rule_that_is_gone() -> None:
    there = {f"rules/{path.name}" for path in (DOCS / "rules").iterdir()}
    assert there == {name for name in PAGES if name.startswith("rules/")}, "make docs"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_figures_are_of_the_examples_as_they_are(rule: Rule) -> None:
    made_of = json.loads(record.FILE.read_text(encoding="utf-8"))["made_of"]
    assert made_of.get(rule.name) == record.digest(rule), "make evidence"


def test_every_bad_and_fixed_example_has_figures_of_its_nginx() -> None:
    for rule in RULES:
        rows = measured().rules.get(rule.name, ())
        bad = [one for one in rule.examples if one.bad]
        for number, example in enumerate(bad, 1):
            if (example.evidence or rule.evidence) == "accepted":
                continue
            for text in ("bad", "fixed"):
                own = [row for row in rows if (row.example, row.text) == (number, text)]
                assert own, f"{rule.name} {number} {text}: make evidence"
                versions = {version for row in own for version in row.nginx}
                assert len(versions) == (2 if example.nginx_version is None else 1)


@pytest.mark.parametrize(
    "rule", [one for one in RULES if one.evidence != "accepted"], ids=lambda rule: rule.name
)
def test_the_figures_of_a_rule_show_its_effect(rule: Rule) -> None:
    """Some example measures otherwise without the fix than with it."""
    found: dict[tuple[int, str, str], set[str]] = {}
    for row in measured().rules.get(rule.name, ()):
        for version, said in row.nginx.items():
            # Behind the verdict of a delivery are times, which differ anyway.
            what = said.partition(":")[0] if rule.evidence in ("delivery", "recording") else said
            found.setdefault((row.example, row.who, version), set()).add(what)
    assert any(len(both) > 1 for both in found.values()), (
        f"evidence: {rule.evidence} measures the same for bad and fixed; name the evidence that"
        " shows the effect, or add it to tests/conformance/effects.py"
    )


def test_the_folklore_is_of_the_advice_as_it_is() -> None:
    document = json.loads(folklore.FILE.read_text(encoding="utf-8"))
    assert document["made_of"] == folklore.made_of(), "make evidence"


def test_the_folklore_is_still_true(binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    """The first case of each piece of advice, measured again; `make evidence` does them all."""
    before = folklore.recorded()

    async def again() -> list[tuple[str, str, str]]:
        gate = asyncio.Semaphore(6)

        async def one(advice: folklore.Advice, with_it: bool, age: str) -> tuple[str, str, str]:
            case = advice.cases[0]
            tried = before[advice.name][case.name]
            recorded = tried.with_it if with_it else tried.without
            binary = binaries[age]
            name = f"{advice.name}-{with_it}-{age}"
            async with gate:
                now = await folklore.measured_once(
                    case, with_it, binary, upstream, tmp_path / re.sub(r"\W", "-", name)
                )
            # The last patch of an nginx may be newer than the one that was recorded.
            oldest_first = sorted(recorded)
            version = oldest_first[0] if age == "old" else oldest_first[-1]
            return name, recorded[version].partition(":")[0], now.verdict

        async with DrippingUpstream() as upstream:
            return await asyncio.gather(
                *(
                    one(advice, with_it, age)
                    for advice in folklore.ADVICES
                    for with_it in (False, True)
                    for age in binaries
                )
            )

    found = asyncio.run(asyncio.wait_for(again(), 120))
    assert len(found) >= 2 * len(folklore.ADVICES)
    assert [(name, recorded, now) for name, recorded, now in found if recorded != now] == []


def test_references_are_links() -> None:
    for rule in RULES:
        for text in rule.references:
            assert re.fullmatch(r"\[[^\]]+\]\(https://[^ )]+\)", reference(text)), text
    assert reference("ngx_core_module#worker_connections").endswith(
        "/docs/ngx_core_module.html#worker_connections)"
    )
    assert reference("ngx_stream_proxy_module#proxy_timeout").endswith(
        "/docs/stream/ngx_stream_proxy_module.html#proxy_timeout)"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_page_explains_what_it_shows(rule: Rule) -> None:
    page = PAGES[f"rules/{rule.name}.md"]
    table = "".join(line for line in page.splitlines() if line.startswith("| "))
    assert ("The app sends 20 tokens" in page) is ("token" in table)
    kinds = {one.evidence or rule.evidence for one in rule.examples if one.bad}
    timed = not kinds.isdisjoint({"silence", "client-silence", "reload"})
    assert ("Timeouts in an example are divided by 20" in page) is timed


def test_an_address_is_written_once(tmp_path: Path) -> None:
    text = run_here("rules", "unused-ignore", cwd=tmp_path).stdout
    assert text.count("nginx.org/en/docs/beginners_guide.html") == 1
    text = run_here("rules", "nagle-delay", cwd=tmp_path).stdout
    assert "nginx: tcp_nodelay (https://nginx.org/" in " ".join(text.split())


def test_the_site_builds_without_a_warning_or_a_dead_link(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        # Not about this site: that a successor of MkDocs is coming.
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("WARN|ERROR", done.stderr), done.stderr
    built = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    assert {f"{name.removesuffix('.md')}.html" for name in PAGES} <= set(built)
    anchors: dict[str, set[str]] = {}
    links: list[tuple[str, str]] = []
    for name, path in built.items():
        page = html.parse(str(path)).getroot()
        anchors[name] = set(page.xpath("//@id"))
        links += [(name, str(link)) for link in page.xpath("//@href | //@src")]
    for name, link in links:
        if name == "404.html" or link.startswith(("https:", "data:", "javascript:")):
            continue
        target, _, anchor = link.partition("#")
        where = (tmp_path / name).parent / target if target else tmp_path / name
        assert where.exists(), (name, link)
        key = where.resolve().relative_to(tmp_path.resolve()).as_posix()
        assert not anchor or key not in anchors or anchor in anchors[key], (name, link)
    # Nothing is loaded from elsewhere.
    for path in built.values():
        page = html.parse(str(path)).getroot()
        loaded = page.xpath("//script/@src | //link[@rel='stylesheet']/@href | //img/@src")
        assert not [one for one in loaded if "://" in one]


# `nginx-stream-lint rules`


def test_rules_lists_all(tmp_path: Path) -> None:
    done = run_here("rules", cwd=tmp_path)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == [rule.name for rule in RULES]


@pytest.mark.parametrize("name", ["response-buffering", "few-connections", "websocket-upgrade"])
def test_a_rule_says_in_the_terminal_what_its_page_says(name: str) -> None:
    assert run_here("rules", name, "--format", "markdown").stdout == PAGES[f"rules/{name}.md"]
    text = run_here("rules", name).stdout
    rule = next(one for one in RULES if one.name == name)
    flat = " ".join(text.split())
    assert " ".join(rule.why.split()) in flat
    assert EVIDENCE[rule.evidence] in flat
    for row in measured().rules.get(name, ()):
        for said in row.nginx.values():
            assert said.replace("`", "") in flat
    for example in rule.examples:
        for part in (example.bad, example.fixed, example.good):
            for line in (part or "").splitlines():
                assert line.strip() in text
    assert "\x1b[" not in text
    assert "\x1b[1m" in run_here("rules", name, "--color").stdout


def test_a_rule_that_does_not_exist() -> None:
    done = run_here("rules", "response-bufering")
    assert done.returncode == 2
    assert done.stderr == 'unknown rule "response-bufering"; did you mean "response-buffering"?\n'


def test_a_rule_of_ones_own(tmp_path: Path) -> None:
    text = (builtin_folder() / "nagle-delay.yaml").read_text(encoding="utf-8")
    (tmp_path / "own-rule.yaml").write_text(text.replace("name: nagle-delay", "name: own-rule"))
    done = run_here("rules", "own-rule", "--rules", tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("own-rule\n")
