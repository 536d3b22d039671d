"""What is written: files as nginx reads them, with every character's place kept.

`configurations` is the way in. Nothing here knows what a directive means; that is `nginx/`.
"""

from nginx_stream_lint.config.files import Files
from nginx_stream_lint.config.inputs import STDIN, Around, configurations
from nginx_stream_lint.config.reading import Configuration, Note, read, said_once
from nginx_stream_lint.config.source import Regions, has_hole
from nginx_stream_lint.config.tree import Directive, File, is_complete, statements
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Problem

__all__ = [
    "STDIN",
    "Around",
    "Configuration",
    "Directive",
    "File",
    "Files",
    "Note",
    "Problem",
    "Regions",
    "Source",
    "configurations",
    "has_hole",
    "is_complete",
    "read",
    "said_once",
    "statements",
]
