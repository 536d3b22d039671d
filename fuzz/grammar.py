"""Cases written from what is known of nginx and its controllers: right names, any arguments."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from tests.kubernetes.manifests import every_annotation, ingress, value_of

from fuzz.seeds import Case, case
from fuzz.words import WORDS
from nginx_stream_lint.kubernetes.controllers import Controller, ingress_nginx, nginx_org
from nginx_stream_lint.nginx.directives import table

_NAMES = (
    *sorted(table()),
    *("rewrite", "return", "set", "if", "break", "try_files", "error_page", "location", "server"),
    *("include", "map", "geo", "split_clients", "upstream", "limit_except", "alias", "root"),
    *("auth_request", "internal", "add_header", "proxy_set_header", "server_name", "listen"),
    *("default", "hash", "keepalive", "zone", "allow", "deny", "satisfy", "mirror", "resolver"),
    *("content_by_lua_block", "sub_filter", "ssi", "more_set_headers", "stream", "events", "http"),
)
_MOST_ARGUMENTS = 3
_MOST_STATEMENTS = 3

_words = st.sampled_from([word for word in WORDS if word and "\n" not in word])
_arguments = st.sampled_from([word for word in WORDS if re.fullmatch(r"[^\s;{}#]+", word)])


@st.composite
def _statements(draw: st.DrawFn, depth: int) -> str:
    rows = []
    for _ in range(draw(st.integers(0, _MOST_STATEMENTS))):
        words = draw(st.lists(_arguments, max_size=_MOST_ARGUMENTS))
        end = f"{{ {draw(_statements(depth - 1))} }}" if depth and draw(st.booleans()) else ";"
        rows.append(f"{draw(st.sampled_from(_NAMES))} {' '.join(words)}{end}\n")
    return "".join(rows)


@st.composite
def main_files(draw: st.DrawFn) -> Case:
    """A whole main file with directives of the right names where they may stand."""
    rows = _statements(1)
    return case(
        "nginx.conf",
        f"events {{}}\nhttp {{\n{draw(rows)}upstream u {{ server 127.0.0.1:1; {draw(rows)} }}\n"
        f"server {{\n{draw(rows)}location /events {{ proxy_pass http://u; {draw(rows)} }}\n"
        f"location ~ ^/v1/ {{ if ($a) {{ {draw(rows)} }}\nfastcgi_pass u; {draw(rows)} }}\n"
        "}\n}\n",
    )


@st.composite
def manifests(draw: st.DrawFn) -> Case:
    """A manifest with annotations that a controller reads, with right values and any others."""
    controller = draw(st.sampled_from((ingress_nginx(), nginx_org())))
    names = draw(st.lists(st.sampled_from(every_annotation(controller)), max_size=_MOST_STATEMENTS))
    values = {name: draw(st.one_of(_words, _value(controller, name))) for name in names}
    prefix = controller.prefixes[0]
    paths = ((draw(st.one_of(st.just("/events"), _words)), "Prefix"),)
    return case("a.yaml", ingress({prefix + name: value for name, value in values.items()}, paths))


def _value(controller: Controller, name: str) -> st.SearchStrategy[str]:
    return st.just(value_of(controller, name))
