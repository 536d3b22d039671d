"""Nothing that a server sends back of a request's secrets is in any report."""

from __future__ import annotations

import json
import re
import ssl
import string
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.cli import cli
from nginx_stream_lint.report.trace import trace_json, trace_text
from nginx_stream_lint.report.trace_plot import trace_html, trace_svg
from nginx_stream_lint.trace import known_words
from nginx_stream_lint.trace.diagnosis import diagnose
from nginx_stream_lint.trace.exchange_errors import describe_error
from nginx_stream_lint.trace.known_words import NOT_SHOWN, known_headers, known_response
from nginx_stream_lint.trace.network import apply_news
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.request import Layer, TraceLimits, TraceRequest, parse_layers
from nginx_stream_lint.trace.response_reader import ResponseReader
from nginx_stream_lint.trace.run import TraceResult
from nginx_stream_lint.trace.verdict import LayerMeasurement
from tests.report.schemas import check_document
from tests.trace.disguises import DISGUISES, canonical, shown_parts
from tests.trace.misbehaving import ECHOED, misbehaving

URL = "http://127.0.0.1:8080/v1/chat"
PLACES = ("headers", "body", "exception", "location", "protocol")
ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    OSError,
    ssl.SSLError,
    ssl.SSLCertVerificationError,
    ConnectionResetError,
)


def reports(status: int, headers: dict[str, str], body: str, error: Exception | None) -> str:
    """All reports of a trace through a layer that answers like this, and one that streams."""
    layers = parse_layers([URL, URL], (), ())
    found = []
    for layer in layers:
        recording = Recording("h1")

        def say(news: dict[str, Any], recording: Recording = recording) -> None:
            # Times are alike in all runs: what they show is not the server's.
            known = json.loads(json.dumps(news), parse_float=lambda _: 0.5)
            apply_news(recording, known)

        reading = ResponseReader(TraceLimits(), layer.url, layer.shown, say)
        reading.connected()
        if layer.number == 1:
            reading.head(200, {"content-type": "text/event-stream"}, "1.1")
            reading.piece(b"data: x\n\n" * 5)
        else:
            reading.head(status, headers, "1.1")
            reading.piece(body.encode())
            if error is not None:
                reading.error = describe_error(error, layer, started=status < 300)
        reading.finish()
        found.append(LayerMeasurement(layer.number, "h1", (recording,)))
    told = diagnose(TraceResult(tuple(layers), tuple(found)))
    check_document("trace", json.loads(trace_json(told)))
    fields = [repr(one.recordings[0]) for one in found]
    texts = (trace_text(told), trace_json(told), trace_svg(told), trace_html(told), *fields)
    return "\n".join(texts)


KNOWN = Path(known_words.__file__).read_text(encoding="utf-8")


def _mixed(text: str) -> bool:
    return len(set(canonical(text))) >= 8


@settings(max_examples=150, deadline=None)
@given(
    secret=st.text(string.ascii_letters + string.digits + "-_.:/+= ü", min_size=12, max_size=40)
    .filter(_mixed),
    chain=st.lists(st.sampled_from(sorted(DISGUISES)), min_size=1, max_size=3),
    status=st.sampled_from([200, 302, 401, 500]),
    name=st.sampled_from([*ECHOED, "Content-Encoding", "Transfer-Encoding", "Content-Length"]),
    error=st.sampled_from([None, *ERRORS]),
)  # fmt: skip
@example("sk-live-A1b2C3d4E5f6", ["plain"], 302, "Location", None)
@example("493021774903", ["version"], 200, "Server", None)
@example("493021774903", ["plain"], 200, "Content-Length", None)
@example("493021774903", ["service"], 200, "Alt-Svc", None)
@example("493021774903", ["commas"], 200, "Age", None)
@example("493021774903", ["commas"], 200, "Cache-Control", None)
def test_no_report_depends_on_a_secret(
    secret: str, chain: list[str], status: int, name: str, error: type[Exception] | None
) -> None:
    # Words that may be shown are no secret, though hypothesis tries all texts of our modules.
    assume(not shown_parts(secret, KNOWN))
    said = secret
    for disguise in chain:
        said = DISGUISES[disguise](said)
    assume(len(said) < 100_000)
    usual = {"content-type": "text/event-stream", "location": "/other"}
    without = reports(status, usual, "said", None if error is None else error("said"))
    raised = None if error is None else error(said)
    shown = reports(status, {**usual, name.lower(): said}, said, raised)
    assert shown_parts(secret, shown, without) == set()


def test_a_trace_shows_no_secret_that_a_server_repeats(tmp_path: Path) -> None:
    """The command, with many disguises and all kinds of answers, each place with the secret."""
    secret = "sk-Live.Zz9Yy8Xx7Ww6Vv5"
    kinds = ("401", "200", "302", "500")
    page, picture, report = (tmp_path / name for name in ("x.html", "x.svg", "report.txt"))
    with misbehaving() as server:
        root = f"http://127.0.0.1:{server.port}"
        # The test above has all disguises.
        some_disguises = sorted(DISGUISES)[::4]
        urls = [
            f"{root}/{name}/{kinds[number % len(kinds)]}/echo"
            for number, name in enumerate(some_disguises)
        ]
        given = ["-H", f"Authorization: Bearer {secret}"]
        some = ["--plot", str(page), "--output", str(report)]
        done = CliRunner().invoke(cli, ["trace", *urls, *given, *some])
        assert done.exit_code in (1, 2), done.output
        plain = [f"{root}/plain/{kind}/echo" for kind in kinds]
        more = ["--plot", str(picture), "--format", "json"]
        again = CliRunner().invoke(cli, ["trace", *plain, *given, *more])
        assert len(server.requests) == len(urls) + len(plain)
    outputs = [done.stdout, done.stderr, again.stdout, again.stderr]
    outputs += [file.read_text("utf-8") for file in (page, picture, report)]
    for text in outputs:
        assert shown_parts(secret, text) == set()
    statuses = [one["clients"][0]["status"] for one in json.loads(again.stdout)["layers"]]
    assert statuses == list(map(int, kinds))


@pytest.mark.parametrize("name", sorted(DISGUISES))
def test_the_check_sees_through_a_disguise(name: str) -> None:
    secret = "sk-Live.Zz9Yy8Xx7Ww6Vv5"
    assert shown_parts(secret, f"it said {DISGUISES[name](secret)} again")


# Which words are known


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("content-type", "text/event-stream; charset=UTF-8", "text/event-stream; charset=utf-8"),
        ("content-type", "text/html;charset=x", "text/html"),
        ("content-type", "a/b", NOT_SHOWN),
        ("content-encoding", "GZIP, br", "gzip, br"),
        ("content-encoding", "gzip, hunter2, hunter3", f"gzip, {NOT_SHOWN}"),
        ("content-length", "12345", "12345"),
        ("content-length", "123456", NOT_SHOWN),
        ("cache-control", "No-Store, max-age=60, x", f"no-store, max-age=60, {NOT_SHOWN}"),
        ("cache-control", "max-age=31536000", "max-age=31536000"),
        ("cache-control", "max-age=3153600", f"max-age={NOT_SHOWN}"),
        ("server", "nginx/1.22.1 (Debian)", "nginx/1.22.1"),
        ("server", "Apache/2.4.71 (Debian)", "Apache/2.4.71"),
        ("server", "nginxhunter2", NOT_SHOWN),
        ("server", "BunnyCDN-DE1-1090", "BunnyCDN"),
        ("server", "nginx-hunter2/1.2", "nginx"),
        ("server", "Apache-Coyote/1.1", "Apache-Coyote/1.1"),
        ("server", "Microsoft-IIS/10.0", "Microsoft-IIS/10.0"),
        ("server", "hunter2-nginx", NOT_SHOWN),
        ("server", "nginx/1.22.hunter2", "nginx"),
        ("server", "nginx/12.34.56", "nginx"),
        ("via", "1.1 abc.cloudfront.net (CloudFront), 1.1 x", f"CloudFront, {NOT_SHOWN}"),
        ("x-cache", "Hit from cloudfront", "hit from cloudfront"),
        ("x-cache", "HIT hunter2", f"hit {NOT_SHOWN}"),
        ("x-accel-buffering", "NO", "no"),
        ("alt-svc", 'h3=":443"; ma=86400', 'h3=":443"'),
        ("alt-svc", 'h3="hunter2:443"', NOT_SHOWN),
        ("age", "7", "7"),
        ("cf-ray", "8f2a", NOT_SHOWN),
    ],
)
def test_a_header_is_shown_in_known_words(name: str, value: str, shown: str) -> None:
    assert known_headers({name: value}) == {name: shown}


def test_other_headers_are_not_kept() -> None:
    assert known_headers({"x-echo": "yes", "set-cookie": "a=b", "server": ""}) == {}
    assert known_headers({"set-cookie": "AWSALB=hunter2; Path=/"}) == {"set-cookie": "AWSALB"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": {"message": "Key sk-x is bad", "code": "invalid_api_key"}}', "invalid_api_key"),
        ('{"error": {"type": "hunter2", "code": "x"}}', ""),
        ('{"type": "error", "error": {"type": "overloaded_error", "mess', "overloaded_error"),
        ("<html><title>\n502 Bad\nGateway</title>nginx", "502 Bad Gateway"),
        ("<p>Please <b>log in</b>, hunter2</p>", "Please log in"),
        ("no healthy upstream", "no healthy upstream"),
        ("hunter2", ""),
        ("", ""),
    ],
)
def test_an_answer_is_shown_in_known_words(text: str, said: str) -> None:
    assert known_response(text.encode()) == said


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/a/b", "redirects to /a/b (status 302)"),
        ("https://h/a/b", "redirects to /a/b over https (status 302)"),
        ("http://h:81/a/b?x", "redirects to /a/b at another port (status 302)"),
        ("/a/b/?hunter2", "redirects to the same path with a slash at its end (status 302)"),
        ("/hunter2", "redirects to another path of this host (status 302)"),
        ("//hunter2/", "redirects to another host (status 302)"),
        ("/Sign-In?next=hunter2", "redirects to another path of this host, to sign in (status"),
        ("http://[hunter2", "redirects to an invalid URL (status 302)"),
        ("", "redirects (status 302)"),
    ],
)
def test_a_redirect_is_compared_with_what_was_asked(location: str, words: str) -> None:
    recording = Recording("h1")
    layer = Layer(1, "http://h/a/b")
    reading = ResponseReader(
        TraceLimits(), layer.url, layer.shown, lambda news: apply_news(recording, news)
    )
    reading.head(302, {"location": location}, "1.1")
    reading.finish()
    told = diagnose(TraceResult((layer,), (LayerMeasurement(1, "h1", (recording,)),)))
    assert re.sub(r"\s+", " ", trace_text(told)).count(words) == 1


def test_a_configuration_is_shown_without_the_secrets(tmp_path: Path) -> None:
    secret = "hunter2-Zz9Yy8Xx"
    config = tmp_path / "nginx.conf"
    config.write_text(
        "events {} http { server { listen 80; location /hunter2-ZZ9yy8xx {"
        " proxy_pass http://127.0.0.1:1; proxy_http_version 1.1; } } }\n",
        encoding="utf-8",
    )
    with misbehaving() as server:
        root = f"http://127.0.0.1:{server.port}"
        command = ["trace", f"{root}/stream", f"{root}/{secret}/echo401"]
        given = ["-H", f"X-Key: {secret}", "--config", f"2={config}"]
        for form in ("text", "json"):
            done = CliRunner().invoke(cli, [*command, *given, "--format", form])
            assert done.exit_code == 1
            assert "/***/echo401" in done.stdout
            assert shown_parts(secret, done.output) == set()


def test_a_large_body_takes_no_time() -> None:
    """Quadratic work on these would take hours."""
    for body in (b"a" * 3_000_000, b"a1" * 1_500_000, json.dumps({"key": "x1" * 10**6}).encode()):
        (layer,) = parse_layers(["http://h/v1/chat?q=hunter2"], (), (), TraceRequest(body=body))
        assert layer.shown == "http://h/v1/chat?q=***"


def test_objects_do_not_show_secrets_in_a_traceback() -> None:
    request = TraceRequest(headers=(("X-Key", "hunter2-hunter2"),), body=b"hunter2-hunter2")
    (layer,) = parse_layers(["http://hunter2-hunter2@h/?hunter2-hunter2"], (), (), request)
    assert "hunter2" not in repr((request, layer))
