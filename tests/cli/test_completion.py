"""Completion in bash, as the shell itself computes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vesuv.cli.command_line import make_app

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="needs bash")


def completions(*words: str) -> set[str]:
    """Return what bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    call = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _vesuv\n"
    script = make_app().generate_completion(shell="bash")
    script += f"\n{call}printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    done = subprocess.run([str(BASH)], input=script, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_verbs_are_completed() -> None:
    assert completions("vesuv", "pre") == {"prepare", "predict", "pretrain"}
    assert completions("vesuv", "config", "s") == {"show", "schema"}


def test_options_of_a_verb_are_completed() -> None:
    assert completions("vesuv", "train", "--o") == {"--output", "--overwrite"}
    assert "--dry-run" in completions("vesuv", "predict", "--")
    assert "--fold" not in completions("vesuv", "predict", "--")


@pytest.mark.slow
def test_it_is_installed_for_the_shell_of_the_user(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "SHELL": str(BASH)}
    code = "from vesuv.cli import main; main(['--install-completion', '--shell', 'bash'])"

    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)

    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_vesuv()" in text for text in texts)
