"""`python -m benchmarks`: write the table of ratios. Exit status 1 if one misses its limit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.environment import PEERS, ROOT, Environment
from benchmarks.process import Failed
from benchmarks.rows import Bench, Row
from benchmarks.table import page


@click.command()
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs of the largest commands; small ones run more often.",
)
@click.option(
    "--quick", is_flag=True, help="One round, and only the peers with a limit: a minute or two."
)
@click.option(
    "--locations",
    type=click.IntRange(min=400),
    default=20_000,
    show_default=True,
    help="The largest size; the limits are for 20,000.",
)
@click.option(
    "--environment",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / ".venv-bench",
    help="Where the wheel and the peers are installed  [default: .venv-bench]",
)
@click.option(
    "--page",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the page to this file, such as docs/benchmarks.md.",
)
def main(rounds: int, quick: bool, locations: int, environment: Path, path: Path | None) -> None:
    """Compare an installed nginx-stream-lint with other programs on generated files."""
    rounds = 1 if quick else rounds
    peers = ("gixy-ng",) if quick else tuple(PEERS)
    installed = Environment(environment)
    installed.install(peers)
    setting = _setting(installed)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        bench = Bench(installed, Path(folder), locations, peers)
        try:
            for group in bench.groups():
                for row in group.measure(rounds, Path(folder)):
                    rows.append(row)
                    word = " (missed)" if row.missed else ""
                    click.echo(f"{row.ratio:.2f} × {row.beside}: {row.work}{word}", err=True)
        except Failed as failure:
            raise click.ClickException(str(failure)) from None
    text = page(rows, setting)
    if path is not None:
        path.write_text(text, encoding="utf-8")
    missed = [f"{row.work} / {row.beside}" for row in rows if row.missed]
    if missed:
        click.echo(f"missed: {'; '.join(missed)}", err=True)
        sys.exit(1)


def _setting(installed: Environment) -> str:
    """The date, versions and machine of this measurement, as a sentence."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    commit = done.stdout.strip() or "no git"
    versions = [f"{one} {installed.version(one)}" for one in ("crossplane", "click")]
    return (
        f"{date.today()}: nginx-stream-lint {installed.version('nginx-stream-lint')} ({commit}),"
        f" Python {platform.python_version()}, {', '.join(versions)}, {os.cpu_count()} cores."
    )


main()
