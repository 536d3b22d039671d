"""Proxies in a chain, and delivery through all of them."""
