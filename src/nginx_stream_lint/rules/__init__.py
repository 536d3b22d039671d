"""Rules: opinions, each in one YAML file of the top-level `rules/`, over facts in `facts.py`."""
