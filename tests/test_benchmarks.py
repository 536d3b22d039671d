"""The benchmark's inputs, its rows and its page. Nothing is timed here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import shapes
from benchmarks.environment import ROOT, Environment
from benchmarks.process import Command, Failed, Runs, alternate
from benchmarks.rows import Bench, Figures, Group, Row
from benchmarks.table import HEAD, page

from nginx_stream_lint import Workspace, lint
from nginx_stream_lint.probe import NginxBinary, check_file
from nginx_stream_lint.rules.templates import compiled
from tests.command import findings, run

LOCATIONS = 100
SHAPES = {"clean": shapes.clean, "with findings": shapes.with_findings, "files": shapes.in_files}
FILES = 20


@pytest.mark.parametrize("name", SHAPES)
def test_nginx_accepts_the_inputs(name: str, binary: NginxBinary, tmp_path: Path) -> None:
    accepted, said = check_file(binary, SHAPES[name](tmp_path, LOCATIONS))
    assert accepted, said
    assert "[warn]" not in said


@pytest.mark.parametrize("name", SHAPES)
def test_every_location_has_findings_or_none_has(name: str, tmp_path: Path) -> None:
    main = SHAPES[name](tmp_path, LOCATIONS)
    found = findings(main)
    places = {(one["location"]["file"], one["location"]["line"]) for one in found}
    expected = (0, 0) if name == "clean" else (LOCATIONS, LOCATIONS * 13 // 10)
    assert (len(places), len(found)) == expected
    assert run("--fix", main).returncode == 0
    assert findings(main) == []


def test_few_templates_are_compiled(tmp_path: Path) -> None:
    """Jinja takes about a millisecond for each: two messages, and a value."""
    main = shapes.with_findings(tmp_path, LOCATIONS)
    compiled.cache_clear()
    assert lint(Workspace.on_disk(str(main))).findings
    assert compiled.cache_info().misses == 3


def test_nginx_accepts_the_repository(binary: NginxBinary, tmp_path: Path) -> None:
    top = shapes.in_repository(tmp_path, FILES, compose=True)
    accepted, said = check_file(binary, top / "nginx/nginx.conf")
    assert accepted, said
    assert "[warn]" not in said


def test_the_compose_file_runs_the_files_of_the_repository(tmp_path: Path) -> None:
    for compose in (False, True):
        top = shapes.in_repository(tmp_path / str(compose), FILES, compose)
        done = run(top)
        sites = 4 * (FILES - 1)
        assert f"no findings in {sites} proxied locations ({sites} likely streams)" in done.stdout
        told = run("explain", top, "http://site0.example.com:8080/svc0/v1/chat/completions")
        assert ("nginx 1.27" in told.stdout) == compose
    assert len(list(top.glob("**/*.conf"))) == FILES


def test_urls_land_in_their_locations(tmp_path: Path) -> None:
    main = shapes.with_findings(tmp_path, LOCATIONS)
    asked = shapes.urls(LOCATIONS, 20)
    assert len(set(asked)) == 20
    done = run("explain", main, *asked)
    landed = re.findall(r"^  routed to location (\S+)\s", done.stdout, re.MULTILINE)
    assert landed == [re.sub(r"^http://[^/]+", "", url) for url in asked]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """All rows, as if each command had taken one second and one megabyte."""
    folder = tmp_path_factory.mktemp("bench")
    bench = Bench(Environment(folder / "none"), folder)
    same = {"few": 0.5}  # what differs in size cannot take the same time

    def figures(group: Group) -> Figures:
        return {name: Runs([same.get(name, 1.0)], [1_000_000]) for name in group.commands}

    return [row for group in bench.groups() for row in group.rows(figures(group))]


def test_the_rows_and_their_limits(rows: list[Row]) -> None:
    limits = [
        (row.work.partition(",")[0], row.beside.split()[0].strip("`"), row.limit) for row in rows
    ]
    assert limits == [
        ("10 locations", "import", 2.0),
        ("10 locations with findings", "gixy-ng", 1.0),
        ("10 locations with findings", "gixy-next", None),
        ("1", "crossplane.parse", 1.8),
        ("1", "gixy-ng", 0.9),
        ("1", "gixy-next", None),
        ("the same in 1", "crossplane.parse", 1.8),
        ("a repository of 200 files with a compose file", "the", 1.1),
        ("20", "crossplane.parse", 1.6),
        ("20", "gixy-ng", 0.5),
        ("20", "gixy-next", None),
        ("peak memory: 20", "crossplane.parse", 2.5),
        ("a location of 20", "a", 1.1),
        ("20", "crossplane.parse", 0.8),
        ("peak memory: 20", "crossplane.parse", 2.5),
        ("`--fix` of 10", "lint", 2.0),
        ("`explain` of 1 URL on 20", "reading", 1.1),
        ("`explain` of 1", "reading", 1.5),
        ("`explain` of 1 URL with a fix on 20", "reading", None),
    ]


def test_the_page_in_docs_has_these_rows(rows: list[Row]) -> None:
    shown = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    text, head, table = shown.partition(HEAD)
    assert page([], "").startswith(text)
    assert head
    cells = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    expected = [(row.work, row.beside) for row in rows]
    assert [(line[0].removeprefix("| "), line[1]) for line in cells] == expected
    for line in cells:
        limit, ratio = line[2], float(re.sub(r"[^\d.]", "", line[3].partition("×")[0]))
        above = bool(limit.strip()) and ratio > float(limit.strip("≤ ×"))
        assert ("missed" in line[3]) == above


@pytest.mark.parametrize(
    ("ours", "missed", "is_near"), [(1.2, False, False), (1.21, True, True), (2.0, True, False)]
)
def test_a_limit_is_met_or_missed(ours: float, missed: bool, is_near: bool) -> None:
    row = Row("work", "beside", 1.2, ours, 1.0)
    assert (row.missed, row.is_near) == (missed, is_near)
    assert ("**" in page([row], "")) == missed
    assert not Row("work", "beside", None, ours, 1.0).missed


@pytest.mark.parametrize(("ratio", "times"), [(1.0, 2), (1.1, 6), (9.0, 2)])
def test_a_near_miss_is_measured_again(ratio: float, times: int, tmp_path: Path) -> None:
    ran: list[int] = []
    command = Command([sys.executable, "-c", ""], before=lambda: ran.append(1))
    group = Group({"ours": command}, lambda _: iter([Row("work", "beside", 1.0, ratio, 1.0)]))
    group.measure(2, tmp_path)
    assert len(ran) == times


def test_a_command_that_fails_is_reported(tmp_path: Path) -> None:
    fails = Command(
        [sys.executable, "-c", "import sys; sys.exit('what went wrong')"], statuses=frozenset({0})
    )
    with pytest.raises(Failed, match="ended with status 1: what went wrong"):
        alternate({"fails": fails}, {"fails": Runs()}, tmp_path)


def test_peaks_of_memory() -> None:
    """Measured from a small process: what this one has in memory counts for its children."""
    code = (
        "import sys, tempfile\nfrom pathlib import Path\n"
        "from benchmarks.process import Command, Runs, alternate\n"
        "large = Command([sys.executable, '-c', 'bytearray(200_000_000)'])\n"
        "small = Command([sys.executable, '-c', ''])\n"
        "runs = {'large': Runs(), 'small': Runs()}\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    alternate({'large': large, 'small': small}, runs, Path(folder))\n"
        "print(*(one.peak for one in runs.values()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    large, small = map(int, done.stdout.split())
    assert 190_000_000 < large - small < 220_000_000
