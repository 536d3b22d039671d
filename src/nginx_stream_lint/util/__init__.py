"""Helpers that do not depend on nginx; any other package may use them."""
