"""Find the layer of a live system that stops the stream: send the same request to each layer.

Each module passes data to the next: `network` sends a `request` and makes a `recording`, `metrics`
computes numbers from that, `verdict` compares layers, `headers` and `products` find possible
causes. Only `network`, `run` and `demo` have side effects; the others are pure.
"""
