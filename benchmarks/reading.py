"""What each command does before it can say anything about a configuration, as a program.

It starts, reads the files, builds the levels and looks for what nginx would refuse. The Python of
the installed wheel runs this file: `python reading.py CONF`.
"""

from __future__ import annotations

import gc
import os
import sys

from nginx_stream_lint.analysis.lint import read
from nginx_stream_lint.cli.explain import explain_command
from nginx_stream_lint.config import InputOptions
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.validity import refusals

if __name__ == "__main__":
    gc.disable()
    assert explain_command
    for configuration in read(Workspace.on_disk(sys.argv[1]), [sys.argv[1]], InputOptions()):
        refusals(build(configuration))
    os._exit(0)  # as the commands end: without taking a million objects apart
