"""Which locations stream, and why we think so."""
