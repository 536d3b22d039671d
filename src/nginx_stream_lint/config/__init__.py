"""Read configuration files as nginx does, with the position of every character.

`configurations` is the entry point. Nothing here interprets directives; `nginx/` does.
"""

from nginx_stream_lint.config.configuration import Configuration, Note, read, without_repeats
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.inputs import STDIN, InputOptions, configurations
from nginx_stream_lint.config.mapped_text import Regions, has_placeholder
from nginx_stream_lint.config.tree import SIGN, Directive, File, is_complete, statements
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Problem

__all__ = [
    "SIGN",
    "STDIN",
    "Configuration",
    "Directive",
    "File",
    "IncludeResolver",
    "InputOptions",
    "Note",
    "Problem",
    "Regions",
    "Source",
    "configurations",
    "has_placeholder",
    "is_complete",
    "read",
    "statements",
    "without_repeats",
]
