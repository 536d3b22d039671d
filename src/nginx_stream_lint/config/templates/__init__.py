"""Templates: the nginx text that a template will become, with the same offsets.

`readings` is the entry point; `yaml_reading` is for YAML around nginx text, `readings_within` for
that text, and for blocks of other files. Placeholders become unknown words or statements of the
same length, so offsets, lines and fixes match the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates.detect import (
    OPENINGS,
    has_template_name,
    may_be_template,
)
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.remembering import latest_remembered

if TYPE_CHECKING:
    from nginx_stream_lint.config.templates.tags import Tag


def readings(source: Source, values: Mapping[str, str] = {}) -> list[MappedText]:
    """The possible nginx texts of a source that may be a template.

    Usually one reading with all branches of all conditions; several if branches open or close
    different blocks, and for definitions, which are used elsewhere. `values` are those of
    variables, as for `envsubst`.
    """
    is_template = has_template_name(source.name)
    if not is_template and not may_be_template(source.text):
        return [MappedText(source, source.text)]
    from nginx_stream_lint.config.templates.masking import readings_of

    return readings_of(source, is_template, values)


def readings_within(reading: MappedText) -> list[MappedText]:
    """The readings of nginx text in another file, such as a block of Markdown or YAML."""
    from nginx_stream_lint.config.templates import masking

    return masking.readings_within(reading)


def template_tags(source: Source) -> Sequence[Tag]:
    """The tags of template languages in a source, in order."""
    return _tags(source.name, source.text)


@latest_remembered(2)
def _tags(name: str, text: str) -> Sequence[Tag]:
    if not any(opening in text for opening in OPENINGS):
        return ()
    from nginx_stream_lint.config.templates import tags

    return tags.find(MappedText(Source(name, text), text), []).tags


def yaml_reading(source: Source) -> MappedText:
    """The text of a YAML file that may be a template; the result is valid YAML."""
    from nginx_stream_lint.config.templates import masking

    return masking.yaml_reading(source)
