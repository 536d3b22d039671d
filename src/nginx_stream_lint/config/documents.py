"""Documents that may contain nginx text: YAML files and Markdown."""

from __future__ import annotations

import re

_YAML = (".yaml", ".yml", ".json")
_MARKDOWN = (".md", ".mdx", ".markdown", ".rst")
_IN_YAML = (
    r"(?m)nginx\.(?:ingress\.kubernetes\.io|org|com)(?:/|~1)|kind: *(?:Ingress|VirtualServer)\b|"
    r"^[ ]+(?:server|http|upstream [^\n{]*|location [^\n{]*)[ ]*\{|gateway\.nginx\.org/"
)


def is_yaml(path: str) -> bool:
    """Whether a file is YAML by its name (or JSON, which is also YAML)."""
    return path.endswith(_YAML)


def is_markdown(path: str) -> bool:
    """Whether a file is Markdown by its name."""
    return path.endswith(_MARKDOWN)


def may_embed_nginx(path: str, text: str) -> bool:
    """Whether a document or YAML file may contain nginx text, by a quick search."""
    if is_markdown(path):
        return "nginx" in text and "```" in text
    return re.search(_IN_YAML, text) is not None
