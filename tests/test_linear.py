"""What a run costs grows with the size of its input and no faster, whatever that has much of.

Calls are counted, of Python's functions and of those in C, for a size, twice and four times that.
What the second doubling adds is twice what the first one added; it would be four times as much, if
something looked at everything for each of its parts.
"""

from __future__ import annotations

import contextlib
import cProfile
import gc
import io
from pathlib import Path

import click
import pytest

from nginx_stream_lint.cli import cli
from nginx_stream_lint.cli.lint import lint_command
from tests.hostile_shapes import SHAPES, Shape, write

SIZE = 8_000  # bytes
# Twice as much, a little for logarithms and for what is not of one size.
GROWTH = 2.5


def _calls(shape: Shape, size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many calls a run takes."""
    write(shape.files(size), folder)
    monkeypatch.chdir(folder)
    arguments = list(shape.arguments)
    command = cli if arguments[0] == "explain" else lint_command
    profile = cProfile.Profile()
    collects = gc.isenabled()
    gc.disable()
    with contextlib.suppress(SystemExit, click.exceptions.Exit):
        profile.enable()
        try:
            with (
                contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")),
                contextlib.redirect_stderr(io.TextIOWrapper(io.BytesIO(), "utf-8")),
            ):
                command.main(arguments, standalone_mode=False)
        finally:
            profile.disable()
            if collects:
                gc.enable()
    return sum(entry.callcount for entry in profile.getstats())


def _growth(shape: Shape, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    """The calls for the size, twice and four times that."""
    few, more, most = (
        _calls(shape, SIZE * times, folder / str(times), monkeypatch) for times in (1, 2, 4)
    )
    return few, more, most


def _is_linear(few: int, more: int, most: int) -> bool:
    # What is cut off at a limit adds next to nothing.
    return most - more < max(GROWTH * (more - few), 0.1 * most)


@pytest.mark.parametrize("name", SHAPES)
def test_cost_is_linear(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES[name]
    _calls(shape, SIZE // 8, tmp_path / "first", monkeypatch)  # what is made once in a process
    few, more, most = _growth(shape, tmp_path / "a", monkeypatch)
    if not _is_linear(few, more, most):
        # A larger input than the first may have made more once; it is there now.
        few, more, most = _growth(shape, tmp_path / "b", monkeypatch)
    assert most > 1_000
    assert _is_linear(few, more, most), (few, more, most)


def test_the_test_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def square(size: int) -> dict[str, str]:
        """As many locations as the square of the size."""
        locations = "".join(
            f"location /a{at} {{ proxy_pass http://a; }}\n" for at in range(size**2)
        )
        return {"nginx.conf": f"events {{}}\nhttp {{ server {{ {locations} }} }}\n"}

    shape = Shape(lambda size: square(size // 800), ("nginx.conf",))
    few, more, most = (
        _calls(shape, SIZE * times, tmp_path / str(times), monkeypatch) for times in (1, 2, 4)
    )
    assert most - more > GROWTH * (more - few)
