"""Record the behaviour of the rules' examples on real nginx: `make evidence`.

`make evidence RULE=name` measures one rule and keeps the figures of the others.

The rules' pages and `nginx-stream-lint rules` show these figures. test_rules.py checks on each run
that the effects are still the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    find_nginx,
    measure_many,
    write_certificate,
)
from nginx_stream_lint.report.probe import bursts_in_words
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.rules.measured import EVIDENCE
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from tests.conformance.effects import (
    EFFECTS,
    EXAMPLES,
    UNSCALED,
    Lab,
    cut_by_silence,
    differing_headers,
    effect,
    heads,
    proxied,
    streams_of,
    texts,
)
from tests.conformance.examples import SCALE, Named, runnable, uri

FILE = builtin_folder() / "measured.json"
_AT_ONCE = 4


@dataclass(frozen=True)
class Row:
    """One result: the bad example (from 1), which of its texts, and the client."""

    example: int
    text: str
    who: str
    said: str


def digest(rule: Rule) -> str:
    """A digest of a rule's examples: recorded measurements are outdated if it changes."""
    made_of = [
        (one.bad, one.fixed, one.evidence or rule.evidence, one.nginx_version)
        for one in rule.examples
        if one.bad
    ]
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def said(measurement: Measurement) -> str:
    """Describe a measured stream."""
    if measurement.verdict == "replays":
        return f"replays: the app gets no request, {bursts_in_words(measurement.bursts)}"
    if measurement.first_delay is None:
        return f"{measurement.verdict}: status {measurement.status}"
    delay = max(measurement.first_delay, 0)
    bursts = bursts_in_words(measurement.bursts)
    return f"{measurement.verdict}: first token after {delay:.2f} s, {bursts}"


async def _delivery(named: Named, number: int, binary: NginxBinary, folder: Path) -> list[Row]:
    """Measure `bad` and `fixed` for each usual client, and with the changes that break `bad`."""
    rows: list[Row] = []
    changes: list[str] = []
    async with DrippingUpstream() as upstream:
        for kind in ("bad", "fixed"):
            inside = folder / kind
            inside.mkdir()
            write_certificate(inside)
            run = runnable(texts(named)[kind], inside, upstream.ports)
            streams = streams_of(run, binary, None)
            jobs = [(CLIENTS[one.client], one.job(upstream, one.expected)) for one in streams]
            found = proxied(run, binary)
            if kind == "bad" and all(one.expected == "streams" for one in streams):
                # The stream works today: the rule warns about changes that would make it stall.
                facts = [Facts(one, one.streams[0], binary.version, 300) for one in found]
                changes = [
                    name
                    for one in facts
                    for name in one.value("breaking_changes")
                    if name != "h1-tls"
                ]
            jobs += [job for change in changes for job in _changed(jobs[:1], change)]
            for one in found:
                if one.shadowed_by is not None:
                    client = one.clients[0]
                    port = run.port(one.server, client)
                    job = Job(upstream, port, uri(one.level), client)
                    jobs.append((CLIENTS[client], job))
            several = len({job.path for _, job in jobs}) > 1
            async with Nginx(binary, run.text, inside):
                # Only the second request gets a recording.
                await measure_many([one.job(upstream, None) for one in streams if one.recorded])
                results = await measure_many([job for _, job in jobs])
            for (who, job), result in zip(jobs, results, strict=True):
                where = f"{job.path}, {who}" if several else who
                rows.append(Row(number, kind, where, said(result)))
    return rows


def _changed(jobs: Iterable[tuple[str, Job]], change: str) -> Iterator[tuple[str, Job]]:
    for who, job in jobs:
        if change == "gzip":
            yield f"{who}, compression accepted", replace(job, accept_encoding="gzip")
        else:
            yield f"{who}, the app closes", replace(job, drip=replace(job.drip, framing="close"))


async def _effects(named: Named, number: int, binary: NginxBinary, folder: Path) -> list[Row]:
    shown = await effect(named, binary, folder)
    return [Row(number, kind, "", one.said) for kind, one in shown.items()]


async def _default_silence(
    named: Named, number: int, binary: NginxBinary, folder: Path
) -> list[Row]:
    """Measure a default of 60 s, which cannot be shortened."""

    async def one(kind: str) -> Row:
        inside = folder / kind
        inside.mkdir()
        write_certificate(inside)
        async with DrippingUpstream() as upstream:
            run = runnable(texts(named)[kind], inside, upstream.ports)
            async with Nginx(binary, run.text, inside) as nginx:
                shown = await cut_by_silence(Lab(run, upstream, nginx), 75.0, 90.0)
        return Row(number, kind, "", shown.said)

    return list(await asyncio.gather(one("bad"), one("fixed")))


async def _heads(named: Named, number: int, binary: NginxBinary, folder: Path) -> list[Row]:
    """The headers in which `bad` and `fixed` differ, at the app or at the client."""
    found = await heads(named, binary, folder)
    side = 0 if named.evidence == "upstream-request" else 1
    who = ("the app gets", "the client gets")[side]
    rows: list[Row] = []
    differing = differing_headers(found["bad"][side], found["fixed"][side])
    for kind, both in found.items():
        words = [_header(name, both[side].get(name)) for name in differing]
        rows.append(Row(number, kind, who, ", ".join(words)))
    return rows


def _header(name: str, value: str | None) -> str:
    if name == ":version":
        return f"HTTP/{value}"
    if value is None:
        return f"no {name}"
    return f"`{name}: {'(a date)' if value.endswith(' GMT') else value}`"


async def _rows(named: Named, number: int, binary: NginxBinary, folder: Path) -> list[Row]:
    if named.name in UNSCALED:
        return await _default_silence(named, number, binary, folder)
    if named.evidence in EFFECTS:
        return await _effects(named, number, binary, folder)
    if named.evidence in ("upstream-request", "client-response"):
        return await _heads(named, number, binary, folder)
    if named.evidence in ("delivery", "recording"):
        return await _delivery(named, number, binary, folder)
    return []  # `accepted`: nothing more can be measured than in test_nginx_takes_it


async def record(
    binaries: dict[str, NginxBinary], folder: Path, rules: set[str]
) -> dict[str, list[object]]:
    """Measure the examples of some rules. Returns rows by rule; versions as in `binaries`."""
    gate = asyncio.Semaphore(_AT_ONCE)
    numbers: dict[str, int] = {}
    found: dict[str, dict[tuple[int, str, str], dict[str, str]]] = {}

    async def one(named: Named, number: int, age: str) -> None:
        inside = folder / f"{named.name}-{age}"
        inside.mkdir()
        binary = binaries[age]
        if named.name in UNSCALED:
            rows = await _rows(named, number, binary, inside)
        else:
            async with gate:
                rows = await _rows(named, number, binary, inside)
        version = ".".join(map(str, binary.version))
        for row in rows:
            key = (row.example, row.text, row.who)
            found.setdefault(named.rule.name, {}).setdefault(key, {})[version] = row.said

    jobs = []
    for named in EXAMPLES:
        if named.example.bad is None or named.rule.name not in rules:
            continue
        number = numbers[named.rule.name] = numbers.get(named.rule.name, 0) + 1
        jobs += [one(named, number, age) for age in named.ages]
    await asyncio.gather(*jobs)
    return {
        rule: [
            {"example": key[0], "text": key[1], "who": key[2], "nginx": dict(sorted(one.items()))}
            for key, one in sorted(rows.items(), key=lambda item: (item[0][0], item[0][1]))
        ]
        for rule, rows in sorted(found.items())
    }


def _method() -> dict[str, str]:
    drip = Drip()
    return {
        "tokens": f"The app sends {drip.tokens} tokens of {drip.bytes} bytes, one every"
        f" {drip.interval * 1000:g} ms, unless stated otherwise.",
        "timeouts": f"Timeouts in an example are divided by {1 / SCALE:g} for the measurement"
        f"; default timeouts are not. So a timeout of 300s is measured as {300 * SCALE:g} s, and a"
        " default of 60 s as 60 s.",
    }


def main() -> None:
    """Measure the named rules, or all."""
    from nginx_stream_lint.nginx.versions import NEW

    binaries = {"new" if one.version >= NEW else "old": one for one in find_nginx()}
    if set(binaries) != {"old", "new"}:
        sys.exit("an old and a new nginx are needed; .ci/run installs them")
    rules = {rule.name: rule for rule in load_rules(builtin_folder())}
    digests = {name: digest(rule) for name, rule in rules.items()}
    chosen = set(sys.argv[1:]) or set(digests)
    for name in sorted(chosen - set(digests)):
        sys.exit(f"there is no rule {name}; add rules/{name}.yaml")
    for name in sorted(chosen):
        kinds = {rules[name].evidence, *(one.evidence for one in rules[name].examples)}
        for kind in sorted(filter(None, kinds - set(EVIDENCE))):
            known = ", ".join(sorted(EVIDENCE))
            sys.exit(f'rules/{name}.yaml: unknown evidence "{kind}"; write one of {known}')
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(record(binaries, Path(folder), chosen))
    before = json.loads(FILE.read_text(encoding="utf-8"))
    rows |= {name: kept for name, kept in before["rules"].items() if name in set(digests) - chosen}
    made_of = {
        name: now if name in chosen else before["made_of"].get(name)
        for name, now in digests.items()
    }
    document = {**_method(), "made_of": made_of, "rules": dict(sorted(rows.items()))}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    FILE.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
