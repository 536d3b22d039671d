"""How nginx interprets a configuration: levels, effective values, listeners, delivery.

Facts only: `rules/*.yaml` says which of them are faults.
"""
