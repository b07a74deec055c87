"""MkDocs hook: add the generated pages to those of docs/."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[2]))

from docs.generate.pages import generated_pages


def on_startup(**_: object) -> None:
    """Leave notices of libraries that are no faults of our pages out of the build's output."""
    logging.getLogger("torch").setLevel(logging.ERROR)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of docs/studies/ to the menu, one for each study."""
    pages = sorted(Path(config.docs_dir).glob("studies/*.md"))
    if pages and config.nav is not None:
        config.nav.append({"Studies": [f"studies/{page.name}" for page in pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each generated page under its name."""
    for name, text in generated_pages().items():
        files.append(File.generated(config, name, content=text))
    return files
