"""Find the layer of a live system that stops the stream: send the same request to each layer.

Data flows one way: `request` says what to send, `network` sends it and makes a `recording`,
`figures` puts it in numbers, `verdict` compares layers, `headers` and `products` say what may be
behind it. Only `network`, `run` and `demo` do anything; the rest is pure.
"""
