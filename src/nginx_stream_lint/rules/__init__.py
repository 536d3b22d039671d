"""Rules: one YAML file each in the top-level `rules/`, over the facts in `facts/`."""
