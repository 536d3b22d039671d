"""Diagnosis of a trace: the judgements, the failing layer, its product, remedies. Pure."""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.probe.measure import NO_STREAM, UNCLEAR
from nginx_stream_lint.trace.headers import HeaderNote, header_notes
from nginx_stream_lint.trace.product_headers import (
    Product,
    Remedy,
    Timeout,
    recognise_product,
    remedies_for,
    timeouts_near,
)
from nginx_stream_lint.trace.request import Layer
from nginx_stream_lint.trace.run import TraceResult
from nginx_stream_lint.trace.verdict import REFUSED, Judgement, first_failing_layer, judge


class Diagnosis(Struct, frozen=True):
    """A trace with its diagnosis.

    `judgements` are those of each layer and client of `result`. `named` is the first layer that
    does not let the stream through, or None. `products` has by layer number the product that the
    layer's headers name. Layers in `certain` name another product than the layer before; others may
    only forward its headers. `notes` are about the headers.
    """

    result: TraceResult
    judgements: tuple[Judgement, ...]
    named: Judgement | None
    products: dict[int, Product | None]
    certain: frozenset[int]
    notes: tuple[HeaderNote, ...]

    @property
    def measured(self) -> bool:
        """Whether every layer could be judged, or is known to refuse the request."""
        return all(
            any(
                one.layer == layer.number and (one.verdict != NO_STREAM or one.cause == REFUSED)
                for one in self.judgements
            )
            for layer in self.result.layers
        )

    @property
    def streams(self) -> bool:
        """Whether every layer lets the stream through, for every client that it serves."""
        return self.named is None and self.measured and not self.unclear

    @property
    def is_faulty(self) -> bool:
        """Whether a layer stops or refuses a stream that gets through the layer before it."""
        return self.named is not None

    @property
    def unclear(self) -> bool:
        """Whether the response of some layer was too short to judge."""
        return any(one.verdict == UNCLEAR for one in self.judgements)

    def hide(self, text: str) -> str:
        """A text from the user, such as a configuration, without the request's secrets."""
        return self.result.layers[0].secrets.hide(text)

    def layer(self, number: int) -> Layer:
        """A layer by its number."""
        return self.result.layers[number - 1]

    @property
    def remedies(self) -> list[tuple[Product, Remedy]]:
        """The remedies for the failing layer's product; for all products if it is unknown."""
        named = self.named
        if named is None or named.cause is None:
            return []
        return remedies_for(named.cause, self.products[named.layer])

    @property
    def timeouts(self) -> list[tuple[Product, Timeout]]:
        """Known timeouts that the silence before a cut fits."""
        named = self.named
        if named is None or named.silence_s is None:
            return []
        return list(timeouts_near(named.silence_s, self.products[named.layer]))


def diagnose(result: TraceResult) -> Diagnosis:
    """Judge a trace and return its diagnosis."""
    judgements = tuple(judge(result.measured))
    recordings = []
    known: dict[int, Product | None] = dict.fromkeys(one.number for one in result.layers)
    certain = set()
    before: dict[str, str] | None = None
    for layer in result.layers:
        recording = next(
            (
                one.recording
                for one in judgements
                if one.layer == layer.number and one.recording.head_at is not None
            ),
            None,
        )
        if recording is None:
            continue
        recordings.append((layer.number, recording))
        news = recognise_product(recording.headers, before)
        known[layer.number] = news or recognise_product(recording.headers)
        if news is not None:
            certain.add(layer.number)
        before = recording.headers
    return Diagnosis(
        result,
        judgements,
        first_failing_layer(judgements),
        known,
        frozenset(certain),
        tuple(header_notes(recordings)),
    )
