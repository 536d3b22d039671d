"""The tables that a wheel has as JSON are what the YAML of the checkout says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hatch_build import write_tables

import nginx_stream_lint
from nginx_stream_lint.deployment import images, load_balancers
from nginx_stream_lint.kubernetes import controllers
from nginx_stream_lint.nginx import directives
from nginx_stream_lint.rules import reads, shipped
from nginx_stream_lint.streams import catalogue, evidence_words
from nginx_stream_lint.tiers import products
from nginx_stream_lint.util import data
from nginx_stream_lint.util.yamlfile import load_records

TABLES: dict[str, Any] = {
    "directives": (directives.table, directives.read),
    "catalogue": (catalogue.apps, catalogue.read),
    "catalogue_index": (catalogue.index, catalogue.read_index),
    "evidence": (evidence_words.evidence, evidence_words.read),
    "images": (images.images, images.read),
    "load_balancers": (load_balancers.load_balancers, load_balancers.read),
    "products": (products.products, products.read),
    "rules": (shipped.shipped_rules, shipped.read),
    "ingress-nginx": (
        controllers.ingress_nginx,
        lambda: controllers.read_controller("ingress-nginx"),
    ),
    "nginx-org": (controllers.nginx_org, lambda: controllers.read_controller("nginx-org")),
    "gateway-fabric": (controllers.gateway_fabric, controllers.read_gateway_fabric),
    "reads": (reads.reads_of_shipped_rules, lambda: reads._as_reads(reads.read())),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_a_wheel_is_what_the_yaml_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, read = TABLES[name]
    write_tables(tmp_path)
    monkeypatch.setattr(data, "_TABLES", str(tmp_path))
    table.cache_clear()
    try:
        built = table()
        assert built == read()
        # `explain` lists directives in the order of their table.
        assert not isinstance(built, dict) or list(built) == list(read())
        monkeypatch.setattr(data, "_TABLES", str(tmp_path / "none"))
        table.cache_clear()
        assert table() == built
    finally:
        table.cache_clear()


def test_a_wheel_has_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: set[str] = set()
    read = data.data_bytes

    def watched(path: str) -> bytes:
        opened.add(os.path.realpath(path))
        return read(path)

    monkeypatch.setattr(data, "data_bytes", watched)
    write_tables(tmp_path)
    package = Path(nginx_stream_lint.__file__).resolve().parent
    assert {str(path) for path in package.rglob("*.yaml")} <= opened


def test_a_table_of_a_wheel_is_read_in_place_of_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "directives.json").write_text("{}")
    monkeypatch.setattr(data, "_TABLES", str(tmp_path))
    assert data.table("directives", dict, directives.read) == {}
    assert data.table("rules", tuple, shipped.read) == shipped.read()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {seconds: 60, what: x}", "Object missing required field `source` - at `$[0]`"),
        (
            "- {seconds: 60, what: x, source: x, off: x}",
            "Object contains unknown field `off` - at `$[0]`",
        ),
        ("- {seconds: 60, what: 1, source: x}", "Expected `str`, got `int` - at `$[0].what`"),
    ],
)
def test_a_mistake_in_a_table_has_its_file_and_row(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "proxies.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"proxies.yaml: {said}")):
        load_records(str(path), tuple[products.Timeout, ...])
