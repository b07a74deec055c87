from __future__ import annotations

import re
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.io.urls import is_url


def test_addresses_are_told_from_paths() -> None:
    assert is_url("https://a.org/b.zarr")
    assert is_url("s3://bucket/b.zarr")
    assert not is_url("a/b.zarr")
    assert not is_url("C:\\a\\b.zarr")
    assert not is_url(Path("https://a.org/b.zarr"))


@pytest.mark.parametrize("address", ["gs://bucket/b.zarr", "ftp://a.org/b.zarr", "file:///b.zarr"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    scheme = re.escape(address.split("/")[0])

    with pytest.raises(InputError, match=rf"begin with https://, http:// or s3://, found {scheme}"):
        is_url(address)
