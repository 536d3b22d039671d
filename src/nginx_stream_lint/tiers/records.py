"""A tier: one proxy between the app and the client, nginx or another product."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.proxy_tiers import NginxTier

Known = Literal["no", "yes", "unknown"]


class ProductBehaviour(Struct, frozen=True):
    """What a proxy other than nginx does to a stream by default, as far as it is known.

    `buffers`: `none` if it passes each piece at once, `yes` if it collects the response.
    `idle_timeout_s`: the silence in seconds after which it cuts a stream; None if it is unknown or
    there is no limit. `http_version` is the one of its requests to the tier behind it, `over_tls`
    whether it sends them over TLS (None: unknown, because the user's settings decide).
    """

    buffers: Literal["none", "yes", "unknown"] = "unknown"
    idle_timeout_s: float | None = None
    compresses: Known = "unknown"
    http_version: Literal["1.0", "1.1", "2"] = "1.1"
    over_tls: bool | None = None


class ProxyTier(Struct, frozen=True):
    """One proxy of a chain.

    `name` is the location's label for nginx, otherwise the name of the product or service as a
    reader knows it. `kind` is `nginx`, or the product's name in the table of products. `file` and
    `line` are its place: the location's block, or the directive, annotation or service that shows
    the product; None if only the command line names it. `because` is the evidence for a product, in
    a few words.
    """

    name: str
    kind: str
    file: str | None
    line: int | None
    behaviour: NginxTier | ProductBehaviour
    because: str = ""
