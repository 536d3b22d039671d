"""How nginx interprets a configuration: levels, effective values, listeners, delivery.

Facts only, and no opinions: what is good or bad about them is said in `rules/*.yaml`.
"""
