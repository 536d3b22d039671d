"""A trace in words, for the text report and the picture."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.probe.measure import CUT, NO_STREAM, REPLAYS, STALLS, STREAMS, UNCLEAR
from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.trace import verdict as v
from nginx_stream_lint.trace.diagnosis import Diagnosis
from nginx_stream_lint.trace.known_words import NOT_SHOWN
from nginx_stream_lint.trace.recording import FAILED, LIMIT, UNOFFERED
from nginx_stream_lint.trace.verdict import Judgement
from nginx_stream_lint.util.escaping import printable

_VERBS = {STALLS: "stalls", REPLAYS: "is replayed", CUT: "is cut", NO_STREAM: "is rejected"}
_MOST_BURSTS = 6


# A layer and a client


def layer_in_words(judgement: Judgement) -> str:
    """Describe in one line what a client got from a layer."""
    recording, what = judgement.recording, judgement.figures
    if judgement.verdict == NO_STREAM:
        return _no_stream(judgement)
    parts = []
    if what.first_event_s is not None:
        parts.append(f"first {_unit(judgement)} after {seconds(what.first_event_s)}")
    parts.append(_bursts(judgement))
    if recording.ended == LIMIT:
        parts.append(recording.error)
    elif judgement.verdict == CUT:
        parts.append(_cut(judgement))
    else:
        parts.append(f"{seconds(what.end_s)} in total")
    if judgement.slower is not None:
        parts.append(f"{judgement.slower:.1f} times slower than the previous layer")
    if judgement.runs > 1:
        parts.append(f"{judgement.agreeing} of {judgement.runs} runs")
    return printable(", ".join(part for part in parts if part))


def _no_stream(judgement: Judgement) -> str:
    recording = judgement.recording
    if recording.ended in (FAILED, UNOFFERED) and not recording.status:
        return printable(recording.error)
    if 300 <= recording.status < 400:
        where = f" {recording.redirect}" if recording.redirect else ""
        return printable(f"redirects{where} (status {recording.status}); use that URL instead")
    words = f': "{recording.said}"' if recording.said else ""
    kind = recording.headers.get("content-type", "no type").partition(";")[0]
    kind = "another type" if kind == NOT_SHOWN else kind
    if recording.is_success:
        return printable(
            f"not a stream: {kind} in one piece; check the path, and that the request asks for a"
            f" stream{words}"
        )
    hint = {
        401: "credentials required; use -H 'Authorization: …'",
        403: "access denied",
        404: "nothing at this path",
        405: "wrong method; use --method, or --data for a POST",
        429: "too many requests; wait, or send fewer",
    }.get(recording.status, "")
    return printable(f"status {recording.status}{f', {hint}' if hint else ''}{words}")


def _unit(judgement: Judgement) -> str:
    return {"sse": "event", "ndjson": "line", "chunks": "piece"}[judgement.recording.kind]


def _bursts(judgement: Judgement) -> str:
    bursts = [burst.events for burst in judgement.figures.bursts if burst.events]
    events, unit = judgement.recording.events, _unit(judgement)
    units = f"{events} {unit}{'' if events == 1 else 's'}"
    if not bursts:
        return f"no {unit}s"
    if judgement.recording.kind == "chunks" and judgement.held_bytes:
        return f"{size(judgement.figures.size)} in bursts of {size(judgement.held_bytes)}"
    if len(bursts) == 1:
        return f"{units} at once" if events > 1 else units
    if judgement.verdict in (STREAMS, CUT) and judgement.figures.together < 2:
        return f"{units} one by one"
    shown = " + ".join(map(str, bursts[:_MOST_BURSTS]))
    more = " + …" if len(bursts) > _MOST_BURSTS else ""
    return f"{units} in {len(bursts)} bursts ({shown}{more})"


def _cut(judgement: Judgement) -> str:
    if judgement.silence_s is not None:
        status = (
            "" if judgement.recording.is_success else f" with status {judgement.recording.status}"
        )
        return f"cut after {seconds(judgement.silence_s)} of silence{status}"
    return "truncated"


# The verdict


def verdict(diagnosis: Diagnosis) -> list[str]:
    """Describe the verdict; each entry has one or two sentences."""
    named = diagnosis.named
    if named is None:
        return [_without_failing_layer(diagnosis)]
    lines = [_failing_layer(diagnosis, named)]
    if _disobeys(diagnosis, named):
        lines.append(
            "The previous layer sends X-Accel-Buffering: no, but this layer ignores it (if it is"
            " nginx, because of proxy_ignore_headers)."
        )
    lines += [
        f"Layer {note.layer}: {note.text}."
        for note in diagnosis.notes
        if named.cause in note.explains
        and (note.layer, note.code) != (named.layer, "accel-lost")
        and note.layer in (named.layer, named.layer - 1)
        and note.code not in ("storable", "encoding")
    ]
    lines += [
        f"{product.title} cuts streams after {timeout.seconds:g} s by default ({timeout.what})."
        for product, timeout in diagnosis.timeouts
    ]
    return lines


def _disobeys(diagnosis: Diagnosis, named: Judgement) -> bool:
    """Whether a layer holds a response whose headers forbid that."""
    return named.cause in (v.UPSTREAM_BUFFER, v.TLS_BUFFER, v.COMPRESSION) and any(
        one.recording.headers.get("x-accel-buffering", "").lower() == "no"
        for one in diagnosis.judgements
        if one.layer == named.layer - 1
    )


def _without_failing_layer(diagnosis: Diagnosis) -> str:
    count = len(diagnosis.result.layers)
    if diagnosis.streams:
        through = f"all {count} layers" if count > 1 else "this layer"
        whole = all(one.recording.ended != LIMIT for one in diagnosis.judgements)
        return (
            f"The response streams through {through},"
            f" {'to the end' if whole else 'up to the limit of this trace'}."
        )
    if diagnosis.measured:
        return "Some responses are too short to judge; request a longer one."
    missing = [
        layer.number
        for layer in diagnosis.result.layers
        if not any(
            one.layer == layer.number and one.verdict not in (NO_STREAM, UNCLEAR)
            for one in diagnosis.judgements
        )
    ]
    if len(missing) == count:
        return "No layer could be measured."
    which = ", ".join(map(str, missing))
    return (
        f"Layer{'s' if len(missing) > 1 else ''} {which} could not be measured;"
        " all other layers stream."
    )


def _failing_layer(diagnosis: Diagnosis, named: Judgement) -> str:
    url = diagnosis.layer(named.layer).shown
    same = [one for one in diagnosis.judgements if one.layer == named.layer]
    bad = [named, *(one for one in same if one.verdict == named.verdict and one is not named)]
    good = [one for one in same if one.verdict == STREAMS]
    before = [
        one.layer
        for one in diagnosis.judgements
        if one.layer < named.layer and one.verdict == STREAMS
    ]
    what = "request" if named.verdict == NO_STREAM else "response"
    where = f"{_VERBS[named.verdict]} at layer {named.layer} ({url})"
    if before:
        last = "the app" if max(before) == 1 else f"layer {max(before)}"
        subject = " but" if what == "response" else f", but the {what}"
        text = f"The response streams at {last}{subject} {where}"
    else:
        text = f"The {what} {where}"
    reasons = dict.fromkeys(cause(one) for one in bad)
    if len(reasons) > 1:
        text += f". {'; '.join(f'{_clients([one])}: {cause(one)}' for one in bad)}"
    else:
        text += f": {next(iter(reasons))}"
        if good or len(bad) > 1:
            text += f" ({_clients(bad)})"
    text += "."
    if good and named.verdict != NO_STREAM:
        text += f" This layer streams with {_clients(good)}."
    product = diagnosis.products[named.layer]
    remedy = product.remedy(named.cause) if product is not None and named.cause else None
    if product is not None and remedy is not None:
        rule = f" (rule {remedy.rules[0]})" if remedy.rules else ""
        which = "In" if named.layer in diagnosis.certain else "If this layer is"
        text += f" {which} {product.title}, the relevant setting is {remedy.setting}{rule}."
    if named.maybe_from is not None:
        text += (
            " A layer in between may have cached the previous response; --repeat 2 shows which one."
        )
    return text


def _clients(those: Sequence[Judgement]) -> str:
    return " and ".join(dict.fromkeys(CLIENTS[one.client] for one in those))


def cause(judgement: Judgement) -> str:
    """Describe why a layer does not forward the stream."""
    held = (
        f"bursts of {size(judgement.held_bytes)}"
        if judgement.held_bytes
        else "all at once at the end"
    )
    silence = seconds(judgement.silence_s) if judgement.silence_s is not None else ""
    rate = judgement.figures.size / judgement.figures.end_s if judgement.figures.end_s else 0.0
    beat = seconds(judgement.beat_s) if judgement.beat_s is not None else ""
    unknown = (
        f"{held}, each time a buffer of that size is full"
        if judgement.held_bytes
        else f"all at once at the end; with {size(judgement.figures.size)} the response is"
        " too short to tell which buffer holds it"
    )
    return {
        v.UPSTREAM_BUFFER: f"{held}, each time the buffer for the upstream response is full",
        v.TLS_BUFFER: f"{held}, each time the TLS buffer is full",
        v.COMPRESSION: f"{held}, because {judgement.encoding} collects text first",
        v.CACHE: "the response arrives faster than the app produces it, so it comes from a cache",
        v.RATE_LIMIT: f"a rate limit allows {size(round(rate))} per second",
        v.READ_TIMEOUT: f"after {silence} of silence",
        v.BROKEN: "the response is truncated without a preceding silence",
        v.WHOLE_ANSWER: "the whole response is collected before it is forwarded",
        v.DELAY: f"data is forwarded every {beat}",
        v.BUFFER: unknown,
        v.REFUSED: _no_stream(judgement),
        None: "no cause found",
    }[judgement.cause]


def seconds(time: float) -> str:
    """Format a time for people."""
    if time < 0.0995:
        return f"{time * 1000:.0f} ms"
    return f"{time:.2f} s" if time < 10 else f"{time:.1f} s"


def size(count: int) -> str:
    """Format a number of bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1024:.1f} KB" if count < 10240 else f"{count / 1024:.0f} KB"
