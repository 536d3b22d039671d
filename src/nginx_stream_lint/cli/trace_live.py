"""Show a trace while it runs: a row for each layer and client, with its events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.request import Layer
from nginx_stream_lint.trace.run import OnProgress

_TICKS = 30  # columns of a timeline
_TICK_S = 0.1


class _Rows:
    """The events so far; rich requests the table ten times a second."""

    def __init__(self, layers: Sequence[Layer], repeat: int) -> None:
        self._layers = layers
        self._repeat = repeat
        self._seen: dict[tuple[int, str], Recording] = {}
        self._now: tuple[int, str] | None = None
        self._run = 1
        self._started = time.monotonic()

    def see(self, layer: Layer, client: str, run: int, recording: Recording) -> None:
        """Record the progress of a recording."""
        key = (layer.number, client)
        if key != self._now:
            self._now, self._started = key, time.monotonic()
        self._run = run
        self._seen[key] = recording

    def __rich__(self) -> Table:
        title = f"run {self._run} of {self._repeat}" if self._repeat > 1 else None
        table = Table(box=None, padding=(0, 1), title=title, title_justify="left", expand=True)
        table.add_column("", min_width=2)
        table.add_column("layer", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("client", no_wrap=True, min_width=17)
        table.add_column("status", no_wrap=True, min_width=9)
        table.add_column("events", no_wrap=True, min_width=6, justify="right")
        table.add_column(f"the last {_TICKS * _TICK_S:g} s", no_wrap=True, min_width=_TICKS)
        for layer in self._layers:
            for client in layer.clients:
                table.add_row(*self._row(layer, client))
        return table

    def _row(self, layer: Layer, client: str) -> tuple[Text, ...]:
        recording = self._seen.get((layer.number, client))
        name = CLIENTS["h1-tls" if client == "h1" and layer.is_tls else client]
        url = Text(layer.shown)
        if recording is None:
            return (Text(str(layer.number)), url, Text(name), Text("waiting", "dim"))
        done = bool(recording.finished)
        status = str(recording.status or recording.error or "requested")
        return (
            Text(str(layer.number)),
            url,
            Text(name),
            Text(f"{status}{', done' if done else ''}", "green" if done else "bold"),
            Text(str(recording.events)),
            Text(self._timeline(recording, done)),
        )

    def _timeline(self, recording: Recording, done: bool) -> str:
        end = recording.finished if done else time.monotonic() - self._started
        counts = [0] * _TICKS
        for piece in reversed(recording.pieces):
            at = _TICKS - 1 - int((end - piece.at) / _TICK_S)
            if at < 0:
                break
            counts[min(at, _TICKS - 1)] += piece.events
        return "".join(
            "·" if not n else "|" if n == 1 else str(n) if n < 10 else "#" for n in counts
        )


@contextlib.contextmanager
def live(layers: Sequence[Layer], repeat: int) -> Iterator[OnProgress]:
    """Show the rows on standard error while the block runs; yields the progress callback."""
    rows = _Rows(layers, repeat)
    with Live(
        get_renderable=rows.__rich__,
        console=Console(stderr=True),
        refresh_per_second=10,
        transient=True,
    ):
        yield rows.see
