"""Says whether a streamed answer gets through an nginx configuration, and what holds it."""

__version__ = "0.1.0"
