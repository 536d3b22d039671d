"""Helpers that know nothing of nginx; any part may use them."""
