"""The content of a page after a real Chromium has run its scripts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def dump_dom(file: Path, profile: Path, *flags: str) -> str:
    """Return the page as HTML; skip the test where there is no Chromium.

    Args:
        file: The page.
        profile: Folder of the browser's profile.
        flags: Further options of Chromium.
    """
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    options = ("--headless", "--no-sandbox", "--disable-gpu", *flags, f"--user-data-dir={profile}")
    done = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
