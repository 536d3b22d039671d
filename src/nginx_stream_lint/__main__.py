"""The command as it starts: installed, or by `python -m nginx_stream_lint`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line without garbage collection.

    Runs keep nearly all of their objects to the end, so it finds none. At 20,000 locations it takes
    another 25 % (no findings) to 45 % (26,000) of processor time, at 10 locations 3 %, because
    importing makes objects, too.
    """
    gc.disable()
    from nginx_stream_lint.cli import main as run

    run()


if __name__ == "__main__":
    main()
