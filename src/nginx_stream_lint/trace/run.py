"""All layers, all clients, all runs: one request after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from nginx_stream_lint.trace.network import fetch
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.request import Layer, TraceRequest
from nginx_stream_lint.trace.verdict import LayerMeasurement

OnProgress = Callable[[Layer, str, int, Recording], None]


class TraceResult(Struct, frozen=True):
    """A finished trace. Several runs of one client are one `LayerMeasurement`."""

    layers: tuple[Layer, ...]
    measured: tuple[LayerMeasurement, ...]


async def trace(
    layers: Sequence[Layer],
    request: TraceRequest,
    repeat: int = 1,
    on_progress: OnProgress = lambda *_: None,
) -> TraceResult:
    """Send the same request through each layer, `repeat` times with each of its clients.

    The requests are sent one at a time, because two at once would wait for each other in the app.
    The layer nearest to the app comes first. The second run begins after the first run of all
    layers, so that a layer that caches responses replays its own recording.

    Args:
        layers: nearest to the app first.
        request: the request.
        repeat: number of requests for each client and layer; each may be billed.
        on_progress: called with the layer, client, run (from 1) and the recording so far.

    Raises:
        ImportError: niquests is not installed.
    """
    found: dict[tuple[int, str], list[Recording]] = {}
    for run in range(1, repeat + 1):
        for layer in layers:
            for client in layer.clients:

                def seen(
                    recording: Recording, layer: Layer = layer, client: str = client, run: int = run
                ) -> None:
                    on_progress(layer, client, run, recording)

                recording = await fetch(layer, client, request, seen)
                seen(recording)
                found.setdefault((layer.number, recording.client), []).append(recording)
    measured = [
        LayerMeasurement(number, client, tuple(recordings))
        for (number, client), recordings in found.items()
    ]
    return TraceResult(tuple(layers), tuple(measured))
