"""The work of each command before it can report anything, as a program: `python reading.py CONF`.

It starts, reads the files, builds the levels and finds what nginx would refuse. Run it with the
Python interpreter of the installed wheel.
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
    os._exit(0)  # The commands end in the same way: they do not free their objects.
