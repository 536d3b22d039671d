"""What is sent to whom, and what of it is shown."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.trace.request import (
    Ask,
    BadRequest,
    Secrets,
    parse_header,
    parse_layers,
    shown_url,
)


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
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_query_without_names_is_a_secret() -> None:
    secrets = Secrets(Ask(), ["http://h/?0123456789abcdef"])
    assert secrets.hide("it was 0123456789abcdef") == "it was ***"


@given(st.text(min_size=4, max_size=40).filter(lambda text: text.strip() == text))
def test_a_secret_is_hidden_in_every_form(secret: str) -> None:
    if any(ord(one) in range(0xD800, 0xE000) for one in secret):
        return
    secrets = Secrets(Ask(headers=(("X-Key", secret),)), [])
    for form in (secret, base64.b64encode(secret.encode()).decode()):
        if secret.lower() not in ("bearer", "basic", "true", "false"):
            assert form not in secrets.hide(f"it says {form} again")


def test_words_of_http_are_not_hidden() -> None:
    secrets = Secrets(Ask(headers=(("Accept", "text/event-stream"), ("X", "no"))), [])
    assert secrets.hide("text/event-stream, no") == "text/event-stream, no"
    assert secrets.hide_more("a key: sk-live-0123456789abc") == "a key: ***"


def test_headers_are_read_as_curl_does() -> None:
    assert parse_header("A: b: c ") == ("A", "b: c")
    assert parse_header("A:") == ("A", "")
    for wrong in ("hunter2", ": hunter2", "a b: hunter2", "a: b\r\nc: hunter2"):
        with pytest.raises(BadRequest) as error:
            parse_header(wrong)
        assert "hunter2" not in str(error.value)
