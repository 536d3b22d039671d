"""What is written: files as nginx reads them, with every character's place kept.

`read` is the way in. Nothing here knows what a directive means; that is `nginx/`.
"""

from nginx_stream_lint.config.problems import Problem
from nginx_stream_lint.config.reading import Configuration, read
from nginx_stream_lint.config.source import Source
from nginx_stream_lint.config.tree import Directive, File, statements

__all__ = ["Configuration", "Directive", "File", "Problem", "Source", "read", "statements"]
