"""The README: what it shows is true, it is short, and it works where its relative links do not."""

from __future__ import annotations

import re
from pathlib import Path

from tests.checkout import ROOT
from tests.picture import HEIGHT, PICTURE, WIDTH

README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "nginx-stream-lint fixtures/demo/nginx.conf"


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_make_demo_runs_the_command_shown() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"/{DEMO}" in makefile
    assert f"<!-- shown -->\n```console\n$ {DEMO}\n" in README
    for target in re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE):
        assert f"\n{target}: " in makefile, target


def test_the_picture_is_small_and_made_by_the_script() -> None:
    data = PICTURE.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 150_000
    size = tuple(int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    assert size == (WIDTH, HEIGHT)
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in README


def test_each_place_is_described() -> None:
    table = README[README.index("| where | how |") : README.index("## Speed")]
    for place in (
        *("command line", "pre-commit", "GitHub Actions", "GitLab CI"),
        *("container", "editor", "browser page", "Python"),
    ):
        assert re.search(rf"^\| \[?{place}\b", table, re.MULTILINE), place
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    for hook in ("nginx-stream-lint", "nginx-stream-lint-fix"):
        assert f"- id: {hook}\n" in hooks
        assert f"`{hook}`" in table
    assert Path(ROOT, "templates/gitlab.yml").is_file()


def test_every_page_of_the_documentation_is_linked() -> None:
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", README)}
    assert pages <= links
