"""Traces through chains of real proxies; all sixty of them are `make trace-conformance`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from msgspec import structs

from nginx_stream_lint.probe import Drip, DrippingUpstream, free_ports
from nginx_stream_lint.trace.headers import header_notes
from nginx_stream_lint.trace.network import fetch
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.request import Layer, TraceRequest
from nginx_stream_lint.trace.verdict import DELAY, RATE_LIMIT, READ_TIMEOUT
from tests.command import run
from tests.report.schemas import check_document
from tests.trace.chains import (
    PROGRAMS,
    Case,
    Place,
    Tier,
    busy,
    cases,
    chain,
    mistake,
    place_for,
    running,
    running_nginx,
    traced,
)

# One of each cause, and each product once.
SLICE = (
    "http10:old!",
    "swallowed:haproxy-new-new!",
    "gzip:haproxy!-apache",
    "tls:apache-old!",
    "cache:new!",
    "timeout:old!",
    "rate:old-apache!",
    "delay:haproxy!-apache",
    "fine:caddy-new-haproxy",
)
CASES = {case.name: case for case in cases()}
TWICE = 2  # a case counts as wrong when it is wrong twice more, alone


def test_there_are_sixty_and_the_slice_has_each_cause() -> None:
    assert len(CASES) == 60
    chosen = [CASES[name] for name in SLICE]
    causes = {case.cause for case in CASES.values()}
    assert causes - {case.cause for case in chosen} == {"whole-answer"}
    assert {product for case in chosen for product in case.products} >= {"old", "new", *PROGRAMS}


def _quick(case: Case) -> Case:
    """The case without what stands in front, and an app in a hurry where that is enough."""
    if case.layer is not None:
        case = replace(case, tiers=case.tiers[: case.layer - 1])
    if case.cause == READ_TIMEOUT:
        return replace(case, drip=structs.replace(case.drip, silence_after=(8, 2.4)))
    if case.cause == DELAY:
        return case
    if case.cause == RATE_LIMIT:
        # In more of a hurry events of the app come together, and then 200 ms hold no more of them.
        return replace(case, drip=structs.replace(case.drip, tokens=25))
    return replace(case, drip=structs.replace(case.drip, interval=0.01))


def _needs(name: str) -> list[pytest.MarkDecorator]:
    case = CASES[name]
    programs = [PROGRAMS[one].name for one in sorted(case.products) if one in PROGRAMS]
    marks = [pytest.mark.program(program) for program in programs]
    if "old" in case.products:
        marks.append(pytest.mark.program("nginx"))
    return marks


@pytest.mark.parametrize("name", [pytest.param(name, marks=_needs(name)) for name in SLICE])
def test_the_layer_and_the_cause_are_right(name: str) -> None:
    async def said(case: Case) -> str:
        async with DrippingUpstream() as upstream, chain(case, upstream) as urls:
            words = ""
            for number in range(1 + TWICE):
                words = mistake(case, (await traced(case, urls, number))[1])
                if not words:
                    break
            return words

    assert asyncio.run(said(_quick(CASES[name]))) == ""


def test_what_streams_streams_while_both_cores_are_busy() -> None:
    case = _quick(CASES["fine:new"])

    async def said() -> list[str]:
        async with DrippingUpstream() as upstream, chain(case, upstream) as urls:
            with busy(True):
                return [mistake(case, (await traced(case, urls, run))[1]) for run in range(2)]

    assert asyncio.run(said()) == ["", ""]


def test_the_first_token_is_measured_when_it_comes() -> None:
    """The clock of the app and that of the trace agree to 20 ms, and it is far less."""

    async def delays() -> list[float]:
        found = []
        async with DrippingUpstream() as upstream:
            for number in range(7):
                drip = Drip(id=f"clock-{number}", tokens=5, interval=0.03)
                request = TraceRequest(headers=(("X-Drip", drip.encode()),))
                url = f"http://127.0.0.1:{upstream.ports['http']}/"
                recording = await fetch(Layer(1, url), "h1", request)
                (seen,) = upstream.find(drip.id)
                first = next(piece.at for piece in recording.pieces if piece.events)
                found.append(recording.started + first - seen.emitted[0])
        return found

    # A busy machine makes some late; a wrong clock makes all wrong, or one too early.
    assert 0 <= min(asyncio.run(delays())) < 0.02


def test_certificates_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    files = [tmp_path / name for name in ("ca.pem", "chain.pem", "key.pem")]
    authority.cert_pem.write_to_path(files[0])
    issued.cert_chain_pems[0].write_to_path(files[1])
    issued.private_key_pem.write_to_path(files[2])

    async def recordings() -> list[Recording]:
        plain, tls = free_ports(2)
        place = Place(plain, tls, tmp_path, files[1], files[2])
        async with (
            DrippingUpstream() as upstream,
            running(Tier("new"), place, upstream.ports["http"]),
        ):
            layer = Layer(1, f"https://localhost:{tls}/")
            headers = (("X-Drip", Drip(tokens=3, interval=0.01).encode()),)
            requests = [
                TraceRequest(headers=headers),
                TraceRequest(headers=headers, ca_file=str(files[0])),
                TraceRequest(headers=headers, verify=False),
            ]
            return [
                await fetch(layer, client, request)
                for request in requests
                for client in ("h1", "h2")
            ]

    found = asyncio.run(recordings())
    assert [one.status for one in found] == [0, 0, 200, 200, 200, 200]
    for one in found[:2]:
        assert one.error.startswith("the certificate is not trusted (")
        assert "--cacert FILE" in one.error


@pytest.mark.program("caddy")
def test_all_versions_of_http_are_spoken(tmp_path: Path) -> None:
    """Caddy speaks HTTP/1.1, 2 and 3 on one port; the stream is the same over each."""

    async def recordings() -> list[Recording]:
        async with DrippingUpstream() as upstream:
            place = place_for(tmp_path)
            tier = Tier("caddy")
            drip = Drip(tokens=10, interval=0.03).encode()
            async with running(tier, place, upstream.ports["http"]):
                url = f"https://localhost:{place.tls}/"
                request = TraceRequest(headers=(("X-Drip", drip),), verify=False)
                return [
                    await fetch(Layer(1, url), client, request) for client in ("h1", "h2", "h3")
                ]

    found = asyncio.run(recordings())
    assert [(one.client, one.protocol) for one in found] == [
        ("h1-tls", "1.1"),
        ("h2", "2"),
        ("h3", "3"),
    ]
    for one in found:
        assert (one.status, one.ended, one.events) == (200, "complete", 10), one.error
        assert len(one.pieces) >= 8
    assert [note.code for note in header_notes([(1, found[0])])] == ["storable", "h3"]


def test_the_finding_that_explains_it_is_shown(tmp_path: Path) -> None:
    """A location of a real nginx stalls; its configuration says why, with the line."""
    drip = Drip(tokens=40, bytes=400, interval=0.01).encode()

    async def documents() -> list[dict[str, object]]:
        async with DrippingUpstream() as upstream:
            place = place_for(tmp_path)
            app = upstream.ports["http"]
            text = "\n".join(
                [
                    "events {}",
                    "http {",
                    f"  server {{ listen 127.0.0.1:{place.plain};",
                    "    location /other { return 204; }",
                    "    location /v1/ {",
                    f"      proxy_pass http://127.0.0.1:{app};",
                    "      proxy_http_version 1.0;",
                    "    }",
                    "  }",
                    "}",
                ]
            )
            written = tmp_path / "site.conf"
            written.write_text(text, encoding="utf-8")
            found = []
            async with running_nginx(text, place):
                for config in (str(written), f"2={written}"):
                    done = await asyncio.to_thread(
                        run,
                        "trace",
                        f"http://127.0.0.1:{app}/v1/chat",
                        f"http://127.0.0.1:{place.plain}/v1/chat",
                        *("-H", f"X-Drip: {drip}", "--config", config, "--format", "json"),
                    )
                    assert (done.returncode, done.stderr) == (1, "")
                    found.append(json.loads(done.stdout))
            return found

    for document in asyncio.run(documents()):
        assert document["verdict"]["layer"] == 2  # type: ignore[index]
        configuration = document["configuration"]
        assert isinstance(configuration, dict)
        assert configuration["location"].endswith("site.conf:5: location /v1/")
        assert configuration["explains"] is True
        rules = [one["rule"] for one in configuration["findings"]]
        assert rules[0] == "response-buffering"
        assert configuration["findings"][0]["line"] == 5
        check_document("trace", document)


def test_in_its_repository_a_layer_is_found_by_itself(tmp_path: Path) -> None:
    """The host name leads to the configuration; without one, any nginx might run there."""
    drip = Drip(tokens=40, bytes=400, interval=0.01).encode()
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    (repository / "deploy").mkdir()
    host = "chat.example.com"

    async def documents() -> list[dict[str, object]]:
        async with DrippingUpstream() as upstream:
            place = place_for(tmp_path)
            app = upstream.ports["http"]
            server = (
                f"server {{ listen 127.0.0.1:{place.plain}; server_name {host};"
                f" location /v1/ {{ proxy_pass http://127.0.0.1:{app};"
                " proxy_http_version 1.0; } }"
            )
            text = f"events {{}}\nhttp {{\n{server}\n}}\n"
            (repository / "deploy" / "nginx.conf").write_text(text, encoding="utf-8")
            other = text.replace(host, "other.example.com")
            (repository / "other.conf").write_text(other, encoding="utf-8")
            found = []
            async with running_nginx(text, place):
                for name in (host, "127.0.0.1"):
                    done = await asyncio.to_thread(
                        run,
                        "trace",
                        f"http://127.0.0.1:{app}/v1/chat",
                        f"http://{name}:{place.plain}/v1/chat",
                        *("-H", f"X-Drip: {drip}", "--format", "json"),
                        *("--resolve", f"2={host}:{place.plain}:127.0.0.1"),
                        cwd=repository,
                    )
                    assert (done.returncode, done.stderr) == (1, "")
                    found.append(json.loads(done.stdout))
            return found

    named, unnamed = asyncio.run(documents())
    configuration = named["configuration"]
    assert isinstance(configuration, dict)
    assert configuration["location"] == "deploy/nginx.conf:3: location /v1/"
    assert [one["rule"] for one in configuration["findings"]] == ["response-buffering"]
    assert unnamed["configuration"] is None
