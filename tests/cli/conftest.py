"""Verbs as a user calls them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vesuv.cli import main

Run = Callable[..., None]
Refused = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Return a function that calls a verb, which must end well."""

    def call(*arguments: object) -> None:
        try:
            main([str(word) for word in arguments])
        except SystemExit as end:
            assert end.code in (None, 0), end.code

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that calls a verb, which must refuse; it returns what was said."""

    def call(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in arguments])
        assert end.value.code == 2
        return capsys.readouterr().err

    return call
