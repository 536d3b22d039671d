"""Draw the README's picture: the HTML report on the demo, as Chromium shows it (`make picture`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.checkout import ROOT

DEMO = ROOT / "fixtures" / "demo"
PICTURE = ROOT / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 940, 1075  # the summary, the table of streams and the first stream


def draw(picture: Path) -> None:
    """Write the report's first screen to a PNG file. Needs Chromium."""
    with tempfile.TemporaryDirectory() as name:
        page = Path(name, "report.html")
        command = [sys.executable, "-m", "nginx_stream_lint", "nginx.conf", f"--format=html={page}"]
        # Exit status 1 only means that there are findings.
        if subprocess.run(command, cwd=DEMO, check=False).returncode != 1:
            raise SystemExit("the demo has no findings")
        subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--disable-lcd-text",  # grey edges take a tenth less space than coloured ones
                "--force-device-scale-factor=1",
                f"--user-data-dir={name}/profile",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={picture}",
                page.as_uri(),
            ],
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=True,
        )


if __name__ == "__main__":
    draw(PICTURE)
