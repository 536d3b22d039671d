"""What headers and the table of products say, and the verdict in words."""

from __future__ import annotations

import pytest

from nginx_stream_lint.report.trace_words import verdict
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.trace.diagnosis import diagnose
from nginx_stream_lint.trace.headers import header_notes
from nginx_stream_lint.trace.known_words import known_headers
from nginx_stream_lint.trace.product_headers import (
    Product,
    products,
    recognise_product,
    remedies_for,
    rules_for,
    timeouts_near,
)
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.request import parse_layers
from nginx_stream_lint.trace.run import TraceResult
from nginx_stream_lint.trace.verdict import CAUSES, LayerMeasurement
from tests.trace.recordings import buffered, recording, streamed


@pytest.mark.parametrize("product", products(), ids=lambda one: one.name)
def test_an_entry_is_whole(product: Product) -> None:
    assert product.remedies, "a trace says what to do: add a remedy with its source"
    rules = {rule.name for rule in load_rules(builtin_folder())}
    for remedy in product.remedies:
        assert set(remedy.causes) <= set(CAUSES), "trace/verdict.py has the words for causes"
        assert remedy.source.startswith("https://")
        assert remedy.setting
        assert remedy.do
        assert set(remedy.rules) <= rules
    for timeout in product.timeouts:
        assert timeout.source.startswith("https://")
        assert timeout.seconds > 0


# Headers of responses, and their product. Each header that recognizes a product is here.
RESPONSES: list[tuple[dict[str, str], str | None]] = [
    ({"server": "nginx/1.31.3"}, "nginx"),
    ({"server": "openresty"}, "nginx"),
    ({"x-nginx-cache": "MISS"}, "nginx"),
    ({"server": "cloudflare", "cf-ray": "8f", "cf-cache-status": "DYNAMIC"}, "cloudflare"),
    (
        {
            "via": "1.1 abc.cloudfront.net (CloudFront)",
            "x-amz-cf-id": "x",
            "x-amz-cf-pop": "FRA56-P1",
        },
        "cloudfront",
    ),
    ({"server": "BunnyCDN-DE1-1090"}, "bunny"),
    ({"server": "awselb/2.0"}, "alb"),
    ({"set-cookie": "AWSALB=x; Path=/"}, "alb"),
    ({"x-amz-apigw-id": "x"}, "api-gateway"),
    ({"server": "istio-envoy"}, "envoy"),
    ({"x-envoy-upstream-service-time": "3"}, "envoy"),
    ({"server": "Caddy", "via": "1.1 Caddy"}, "caddy"),
    ({"server": "Apache/2.4.71 (Debian)"}, "apache"),
    ({"server": "traefik"}, "traefik"),
    ({"server": "haproxy", "via": "1.1 haproxy"}, "haproxy"),
    ({"via": "1.1 google"}, "google-cloud-lb"),
    ({"server": "Microsoft-Azure-Application-Gateway/v2"}, "azure-application-gateway"),
    ({"x-azure-ref": "x"}, "azure-front-door"),
    ({"via": "1.1 heroku-router", "server": "Heroku"}, "heroku"),
    ({"via": "1.1 vegur"}, "heroku"),
    ({"server": "Fly/1a2b (2026-01-01)", "fly-request-id": "x"}, "fly"),
    ({"x-render-origin-server": "uvicorn"}, "render"),
    ({"server": "Vercel", "x-vercel-id": "fra1::x"}, "vercel"),
    ({"via": "1.1 varnish (Varnish/7.1)", "x-varnish": "32770"}, "varnish"),
    ({"server": "nginx-rc"}, "nginx"),
    ({"server": "Apache-Coyote/1.1"}, None),
    ({"server": "uvicorn"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "name"), RESPONSES)
def test_a_layer_is_recognised_by_its_headers(headers: dict[str, str], name: str | None) -> None:
    found = recognise_product(headers)
    assert (found.name if found else None) == name
    # What the layer before said already is not news.
    assert recognise_product(headers, headers) is None


@pytest.mark.parametrize("product", products(), ids=lambda one: one.name)
def test_a_trace_keeps_what_a_product_is_recognised_by(product: Product) -> None:
    for header in {sign.header for sign in product.recognised_by}:
        values = [one[header] for one, name in RESPONSES if name == product.name and header in one]
        assert values, f"RESPONSES has no response of {product.name} with {header}; add one"
        for value in values:
            assert recognise_product(known_headers({header: value})) == product, (
                f"a trace does not keep {header}: {value}; add the header or its words to"
                " src/nginx_stream_lint/trace/known_words.py"
            )


def test_a_silence_is_matched_with_known_timeouts() -> None:
    def names(seconds: float, product: Product | None = None) -> set[str]:
        return {one.name for one, _ in timeouts_near(seconds, product)}

    minute = {"nginx", "ingress-nginx", "alb", "elb", "apache", "varnish"}
    assert minute <= names(60.1)
    assert not {"cloudflare", "nlb"} & names(60.1)
    for seconds, name in ((100.4, "cloudflare"), (120.3, "cloudflare"), (350.0, "nlb")):
        assert name in names(seconds)  # 120 s is Cloudflare's newer figure
        assert not minute & names(seconds)
    nginx = next(one for one in products() if one.name == "nginx")
    assert names(60.1, nginx) == {"nginx"}
    assert names(42.0) == set()


def test_what_is_likely_comes_first() -> None:
    names = [product.name for product, _ in remedies_for("delay", None)]
    assert names[:2] == ["traefik", "haproxy"]
    assert "nginx" in names[2:]
    nginx = next(one for one in products() if one.name == "nginx")
    assert [product.name for product, _ in remedies_for("cache", nginx)] == ["nginx"]
    assert rules_for("cache") == ("recorded-stream",)
    assert rules_for(None) == ()


# Headers


def codes(*headers: dict[str, str], text_is_utf8: bool = True) -> list[tuple[int, str]]:
    """What is noted of layers that answer with these headers."""
    answers = [recording(streamed(), headers=one, text_is_utf8=text_is_utf8) for one in headers]
    return [(note.layer, note.code) for note in header_notes(list(enumerate(answers, 1)))]


GOOD = {"cache-control": "no-store"}


def test_good_headers_need_no_note() -> None:
    assert codes(GOOD, GOOD) == []


def test_what_headers_say() -> None:
    assert codes({}) == [(1, "storable")]
    assert codes({}, {}) == [(1, "storable")]  # said once
    assert codes({**GOOD, "content-type": "text/plain"}) == [(1, "type")]
    assert codes({**GOOD, "content-length": "7"}) == [(1, "length")]
    assert codes({**GOOD, "content-encoding": "br"}, {**GOOD, "content-encoding": "br"}) == [
        (1, "encoding")
    ]
    assert codes({**GOOD, "age": "12"}) == [(1, "hit")]
    assert codes({**GOOD, "cf-cache-status": "HIT"}) == [(1, "hit")]
    assert codes({**GOOD, "alt-svc": 'h3=":443"; ma=86400'}) == [(1, "h3")]
    assert codes(GOOD, text_is_utf8=False) == [(1, "charset")]
    accel = {**GOOD, "x-accel-buffering": "no"}
    assert codes(accel, GOOD) == [(2, "accel-lost")]
    assert codes(accel, accel) == []
    assert codes({**GOOD, "x-accel-buffering": "yes"}) == [(1, "accel-yes")]


def test_an_unchunked_answer_is_noted() -> None:
    answer = recording(streamed(), headers=GOOD)
    del answer.headers["transfer-encoding"]
    assert [note.code for note in header_notes([(1, answer)])] == ["unchunked"]
    answer.protocol = "2"
    assert header_notes([(1, answer)]) == []


# Words


def said(*layers: Recording) -> str:
    """The verdict on some layers, in words."""
    urls = [f"http://layer-{number}/" for number in range(1, len(layers) + 1)]
    measured = tuple(LayerMeasurement(n, one.client, (one,)) for n, one in enumerate(layers, 1))
    return " ".join(verdict(diagnose(TraceResult(tuple(parse_layers(urls, (), ())), measured))))


def test_the_verdict_in_words() -> None:
    app = recording(streamed(), headers={"x-accel-buffering": "no"})
    plain = recording(streamed(), headers={"server": "nginx"})
    held = recording(buffered(4096), headers={"server": "nginx"})
    assert said(app, plain) == "The response streams through all 2 layers, to the end."
    ignored = said(app, held)
    stalls = (
        "The response streams at the app but stalls at layer 2 (http://layer-2/): bursts of 4.0"
    )
    assert stalls in ignored
    setting = "the relevant setting is proxy_buffering on (rule response-buffering)."
    assert f"In nginx, {setting}" in ignored
    assert "this layer ignores it" in ignored
    swallowed = said(app, plain, held)
    assert "streams at layer 2 but stalls at layer 3" in swallowed
    assert f"If this layer is nginx, {setting}" in swallowed
    assert "Layer 2: this layer removes the previous layer's X-Accel-Buffering: no" in swallowed
    assert "ignores it" not in swallowed


def test_a_known_timeout_is_named_in_words() -> None:
    cut = recording(streamed(5), headers={"cf-ray": "1"}, ended="cut", tail=100.2)
    words = said(recording(streamed()), cut)
    assert "is cut at layer 2 (http://layer-2/): after 100.2 s of silence" in words
    assert "Cloudflare cuts streams after 100 s by default (Proxy Read Timeout)." in words
