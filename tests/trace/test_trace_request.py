"""What is sent to whom, and what of it is shown."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.trace.request import (
    BadRequest,
    TraceRequest,
    parse_header,
    parse_layers,
)
from nginx_stream_lint.trace.secrets import Secrets, shown_url


def test_layers_are_numbered_from_the_app() -> None:
    layers = parse_layers(["http://a/x", "https://b:8443/y"], (), ())
    assert [(one.number, one.port, one.is_tls, one.clients) for one in layers] == [
        (1, 80, False, ("h1",)),
        (2, 8443, True, ("h1", "h2")),
    ]
    # Over clear text there is only one way to ask.
    layers = parse_layers(["http://a/", "https://b/"], ("h3",), ())
    assert [one.clients for one in layers] == [("h1",), ("h3",)]


def test_an_address_is_for_one_layer_or_for_all_that_fit() -> None:
    urls = ["https://a/", "https://a/", "https://a:444/", "https://b/"]
    everywhere = parse_layers(urls, (), ["a:443:10.0.0.1"])
    assert [one.address for one in everywhere] == ["10.0.0.1", "10.0.0.1", None, None]
    one = parse_layers(urls, (), ["2=A:443:[::1]", "b:443:10.0.0.2"])
    assert [each.address for each in one] == [None, "::1", None, "10.0.0.2"]
    for wrong in ("a:443", "a:b:10.0.0.1", "5=a:443:10.0.0.1", "a:443:host"):
        with pytest.raises(BadRequest):
            parse_layers(urls, (), [wrong])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/p", "http://h/p"),
        ("http://h", "http://h/"),
        ("https://u:p@h:1/p?a=b&c", "https://h:1/p?a=***&***"),
        ("http://h/?hunter2", "http://h/?***"),
        ("http://h/p#fragment", "http://h/p"),
        ("http://h/bot/sk-abcdefghijklmnop/x", "http://h/bot/***/x"),
        ("http://h/v1beta/models/gemini-1.5-pro:streamGenerateContent",) * 2,
        ("http://h/bot123456:ABC/x/a1b2c3d4e5/x", "http://h/***/x/***/x"),
        ("http://h/aBcDeFgHiJkL/%61%31%62%32c3d4e5", "http://h/***/***"),
        ("http://h/?sk-a1b2c3=1&user[name]=2", "http://h/?***=***&user[name]=***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_query_without_names_is_a_secret() -> None:
    secrets = Secrets(urls=["http://h/?0123456789abcdef"])
    assert secrets.hide("it was 0123456789abcdef") == "it was ***"


@given(st.text(min_size=4, max_size=40).filter(lambda text: text.strip() == text))
def test_a_secret_is_hidden_in_every_form(secret: str) -> None:
    if any(ord(one) in range(0xD800, 0xE000) for one in secret):
        return
    secrets = Secrets([("X-Key", secret)])
    coded = base64.b64encode(secret.encode()).decode()
    for form in (secret, secret.upper(), quote(secret), coded, f"x{secret}y"):
        if secret.lower() not in ("bearer", "basic", "digest", "true", "false"):
            assert form not in secrets.hide(f"it says {form} again")


def test_parts_of_a_secret_are_hidden() -> None:
    header = base64.b64encode(b"us3r-name:p4ssword").decode()
    cookie = ("Cookie", "session=one; theme=dark-mode")
    secrets = Secrets([("Authorization", "Bearer sk-live-A1b2C3d4"), cookie])
    hidden = secrets.hide("sk-live-a1B2c3d4 A1b2C3d4, A1B2_C3D4 (session) dark-mode sk-live")
    assert hidden == "*** *** *** *** *** sk-live"
    secrets = Secrets([("Authorization", f"Basic {header}")])
    assert secrets.hide("p4ssword us3r%2Dname other") == "*** *** other"
    # Split by what is no letter, over words: then nothing is left.
    assert secrets.hide("p4ss - word") == "***"


def test_a_path_that_repeats_a_secret_is_hidden() -> None:
    request = TraceRequest(headers=(("X-Password", "hunter2"),), body=b'{"token": "open-sesame"}')
    (layer,) = parse_layers(["http://h/v1/HUNTER-2/open%2Dsesame?q=wordy"], (), (), request)
    assert layer.shown == "http://h/v1/***/***?q=***"
    assert "hunter" not in repr((layer, request)).lower()


def test_words_of_http_are_not_hidden() -> None:
    secrets = Secrets([("Accept", "text/event-stream"), ("X", "no")])
    assert secrets.hide("text/event-stream, no") == "text/event-stream, no"


def test_headers_are_read_as_curl_does() -> None:
    assert parse_header("A: b: c ") == ("A", "b: c")
    assert parse_header("A:") == ("A", "")
    for wrong in ("hunter2", ": hunter2", "a b: hunter2", "a: b\r\nc: hunter2"):
        with pytest.raises(BadRequest) as error:
            parse_header(wrong)
        assert "hunter2" not in str(error.value)
