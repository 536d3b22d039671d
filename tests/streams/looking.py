"""The streams that the linter detects in a configuration."""

from __future__ import annotations

from pathlib import Path

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.detect import ProxiedLocation, find_proxied


def found(folder: Path, text: str, name: str = "app.conf") -> dict[str, ProxiedLocation]:
    """The detected streams by label; a text without `server` is put into one."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if "server {" in text else f"server {{\n{text}\n}}\n")
    configuration = read(str(path))
    configuration.top = str(folder)
    assert configuration.problems == []
    result, problems = find_proxied(configuration, build(configuration), OLD)
    assert problems == []
    return {one.level.label.removeprefix("location "): one for one in result}


def likely(folder: Path, text: str, name: str = "app.conf") -> dict[str, str]:
    """The kinds of the likely streams by location; other locations are omitted."""
    return {
        label: one.streams[0].kind
        for label, one in found(folder, text, name).items()
        if one.streams[0].confidence != "possible"
    }
