"""Values that a few lines make endless: they are unknown, and nothing is built."""

from __future__ import annotations

import pytest

from nginx_stream_lint import Workspace, explain

DOUBLED = "set $a 0123456789abcdef; " + "set $a $a$a; " * 20
MAPS = "".join(
    f"map $m{n}$m{n} $m{n + 1} {{ volatile; default x; ~(.*) $m{n}$m{n}; }}" for n in range(25)
)


@pytest.mark.parametrize(
    ("http", "server", "uses"),
    [("", DOUBLED, "$a"), (f"map $uri $m0 {{ volatile; default x; }} {MAPS}", "", "$m25")],
    ids=["doubled", "maps"],
)
def test_a_value_without_an_end_is_unknown(http: str, server: str, uses: str) -> None:
    text = (
        f"events {{}} http {{ {http} server {{ listen 80; {server}"
        f"location / {{ rewrite ^ /{uses} last; }} location /x {{ proxy_pass http://a; }} }} }}"
    )
    [one] = explain(Workspace.in_memory({"nginx.conf": text}), "nginx.conf", ["/events"])
    assert any(uses in reason for reason in one.route.unknown), one.route.unknown
