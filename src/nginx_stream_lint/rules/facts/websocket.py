"""Facts about WebSocket handshakes.

`analysis/confirm.py` provides the values of those that a measurement gives.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact
from nginx_stream_lint.rules.facts.other_inputs import HANDSHAKES, NEW_VARIABLE, Handshakes


def handshakes(facts: Facts) -> Handshakes:
    """The results of WebSocket handshakes here."""
    found: Handshakes = facts.elsewhere(HANDSHAKES)
    return found


@fact(reads=[HANDSHAKES])
def handshake(facts: Facts) -> str | None:
    """The fault of WebSocket handshakes: none, `fails`, `depends-on-app` or `depends-on-client`.

    `depends-on-app`: nginx uses HTTP/1.0, which some apps refuse. `depends-on-client`: the
    handshake fails if Connection has more words than Upgrade, as in Firefox.
    """
    return handshakes(facts).verdict


@fact(reads=["handshake", HANDSHAKES])
def handshake_lacks(facts: Facts) -> list[str]:
    """The missing or wrong parts of handshakes: HTTP/1.1, GET, and the names of headers."""
    shown = handshakes(facts).shown
    if shown is None or facts.value("handshake") is None:
        return []
    old = ["HTTP/1.1"] if shown.http_version not in ("1.1", None) else []
    return [*old, *([] if shown.is_get else ["GET"]), *shown.wrong_headers]


@fact(reads=["handshake_lacks", HANDSHAKES])
def handshake_gets(facts: Facts) -> list[str]:
    """The wrong parts as the app gets them: HTTP/1.0, no Upgrade header, Connection: close."""
    shown = handshakes(facts).shown
    sent = {} if shown is None else dict(shown.headers)
    words: list[str] = []
    for name in facts.value("handshake_lacks"):
        if name == "HTTP/1.1" and shown is not None:
            words.append(f"HTTP/{shown.http_version}")
        elif name == "GET" and shown is not None:
            words.append(f"method {shown.method}")
        else:
            words.append(f"{name}: {sent[name]}" if sent[name] else f"no {name} header")
    return words


@fact(reads=[HANDSHAKES])
def handshake_hidden(facts: Facts) -> list[str]:
    """The headers of the app's 101 that the client needs and `proxy_hide_header` removes."""
    shown = handshakes(facts).shown
    return [] if shown is None else list(shown.hidden)


@fact(reads=["proxy_hide_header"])
def hidden_here(facts: Facts) -> bool:
    """Whether the `proxy_hide_header` rows in force are in the location itself."""
    return facts.effective("proxy_hide_header").origin == "explicit"


@fact(reads=[HANDSHAKES, "added_variable"])
def connection_value(facts: Facts) -> str:
    """The value that Connection should have: a variable, or "upgrade" if all are handshakes."""
    if handshakes(facts).variable is not None:
        return f"${handshakes(facts).variable}"
    added = facts.value("added_variable")
    return f"${added}" if added is not None else '"upgrade"'


@fact(reads=[HANDSHAKES, NEW_VARIABLE])
def added_variable(facts: Facts) -> str | None:
    """The variable that a new map should define for Connection; none if none is needed."""
    if handshakes(facts).variable is not None:
        return None
    name: str | None = facts.elsewhere(NEW_VARIABLE)
    return name


@fact()
def refused_with(_: Facts) -> str | None:
    """The response to a handshake that fails on a real nginx (--probe), such as status 400.

    It is none in rules about streams, and where another finding is about the handshakes.
    """
    return None


@fact()
def refused_by(_: Facts) -> str | None:
    """The version of that nginx."""
    return None
