"""Run the scripts of the gallery whose pictures are older than they are: python -m docs.gallery."""

from __future__ import annotations

import runpy
import sys
import time

from docs.gallery.cache import SCRIPTS, is_fresh, record


def main() -> None:
    names = sys.argv[1:] or [name for name in SCRIPTS if not is_fresh(name)]
    for name in names:
        start = time.monotonic()
        runpy.run_module(f"docs.gallery.{name}", run_name="__main__")
        record(name)
        print(f"{name}: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
