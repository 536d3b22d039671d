"""What a build adds: our tables as JSON in a wheel, and links that work on PyPI in the README.

JSON loads many times faster than YAML. PyPI shows the README without the files of the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


class TablesHook(BuildHookInterface[Any]):
    """Reads the YAML as a checkout does and writes what was read."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the tables and name them for the wheel; an editable install reads the YAML."""
        if self.target_name != "wheel" or version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "src")))
        folder = Path(self.directory, "tables")
        write_tables(folder)
        build_data["force_include"][str(folder)] = "nginx_stream_lint/tables"


def write_tables(folder: Path) -> None:
    """Write our tables, as they are read from YAML, into a folder as JSON."""
    # Imported here: hatchling loads this module without msgspec to list its build targets.
    from msgspec import json

    from nginx_stream_lint.deployment import images, load_balancers
    from nginx_stream_lint.kubernetes import controllers
    from nginx_stream_lint.nginx import directives
    from nginx_stream_lint.rules import reads, shipped
    from nginx_stream_lint.streams import catalogue, evidence_words
    from nginx_stream_lint.tiers import products

    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "directives": directives.read(),
        "rules": shipped.read(),
        "reads": reads.read(),
        "catalogue": catalogue.read(),
        "catalogue_index": catalogue.read_index(),
        "evidence": evidence_words.read(),
        "images": images.read(),
        "load_balancers": load_balancers.read(),
        "products": products.read(),
        "ingress-nginx": controllers.read_controller("ingress-nginx"),
        "nginx-org": controllers.read_controller("nginx-org"),
        "gateway-fabric": controllers.read_gateway_fabric(),
    }
    for name, content in tables.items():
        (folder / f"{name}.json").write_bytes(json.encode(content))


class ReadmeHook(MetadataHookInterface):
    """The README as PyPI gets it."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the project's readme."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        if repository:
            text = with_absolute_links(text, repository, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_absolute_links(text: str, repository: str, version: str) -> str:
    """Make the relative links and pictures of a Markdown text lead to a version on GitHub."""

    def absolute(match: re.Match[str]) -> str:
        start, target = match.groups()
        kind = "raw" if start.startswith("!") else "blob"
        return f"{start}({repository}/{kind}/v{version}/{target})"

    return re.sub(r"(!?\[[^\]]*\])\((?!https?:|#)([^)]+)\)", absolute, text)
