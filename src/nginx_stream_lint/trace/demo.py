"""A chain for `trace --demo`: the dripping app, a default nginx in front, and a second nginx."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from nginx_stream_lint.probe import Drip, DrippingUpstream, Nginx, NginxBinary, free_ports
from nginx_stream_lint.probe.certificate import write_certificate
from nginx_stream_lint.probe.drip import HEADER
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.trace.request import Layer, TraceRequest, parse_layers

# As an LLM writes: OpenAI's pieces have about 230 bytes.
DRIP = Drip(id="demo", tokens=100, interval=0.012, bytes=230)


@contextlib.asynccontextmanager
async def demo(
    binary: NginxBinary, clients: Sequence[str] = ()
) -> AsyncIterator[tuple[list[Layer], TraceRequest]]:
    """Run the chain until the block ends; yields its layers and the request.

    Args:
        binary: which nginx.
        clients: the kinds of clients; none: all that `parse_layers` chooses.

    Raises:
        NginxError: nginx does not start.
        ImportError: the `probe` extra is not installed.
    """
    with temporary_folder() as folder:
        inner, inner_tls, outer = free_ports(3)
        chain, key = write_certificate(folder)
        async with contextlib.AsyncExitStack() as stack:
            app = (await stack.enter_async_context(DrippingUpstream())).ports["http"]
            text = f"""
            http {{
              ssl_certificate {chain}; ssl_certificate_key {key};
              server {{
                listen 127.0.0.1:{inner}; listen 127.0.0.1:{inner_tls} ssl http2;
                location / {{ proxy_pass http://127.0.0.1:{app}; }}
              }}
              server {{
                listen 127.0.0.1:{outer} ssl http2;
                location / {{ proxy_pass http://127.0.0.1:{inner}; }}
              }}
            }}"""
            await stack.enter_async_context(Nginx(binary, text, folder))
            urls = [
                f"http://localhost:{app}/v1/chat/completions",
                f"https://localhost:{inner_tls}/v1/chat/completions",
                f"https://localhost:{outer}/v1/chat/completions",
            ]
            layers = parse_layers(urls, clients, ())
            yield layers, TraceRequest(headers=((HEADER, DRIP.encode()),), verify=False)
