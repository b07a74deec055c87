"""What an installed package holds beside its modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = ("vesuv", "configs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


def copy_sources(folder: Path) -> None:
    """Copy what a package is built of."""
    folder.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, folder / name)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a wheel of the sources is installed into."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    copy_sources(folder / "sources")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "./sources"]
    subprocess.run([*build, "--wheel-dir", "."], cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", "target", f"./{wheel.name}"]
    subprocess.run(install, cwd=folder, check=True)
    return folder / "target"


@pytest.mark.slow
def test_a_shipped_configuration_opens_by_name_from_any_folder(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import vesuv\n"
        "from vesuv.config import load_config\n"
        "print(vesuv.__file__, load_config('v9_progressive').phases[1].weights['focal'])"
    )
    (tmp_path / "mine.yaml").write_text("base: v5_conservative\n")
    code += "\nprint(load_config('mine.yaml').sampling.batch_size)"
    environment = {"PYTHONPATH": str(installed), "PATH": ""}

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [str(installed / "vesuv/__init__.py"), "0.2", "12"]


@pytest.mark.slow
def test_the_package_holds_every_shipped_configuration_and_the_templates(installed: Path) -> None:
    shipped = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "configs").rglob("*.yaml")}

    for path in shipped:
        assert (installed / "vesuv" / path).read_text() == (REPOSITORY / path).read_text()
    assert (installed / "vesuv/report/templates/page.html").is_file()
    assert not (installed / "configs").exists()


@pytest.mark.slow
def test_the_source_archive_holds_all_that_a_wheel_is_built_of(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    copy_sources(tmp_path / "sources")
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "sources", check=True)

    (archive,) = tmp_path.glob("vesuv-*.tar.gz")
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert {"LICENSE", "README.md", "setup.py", "configs/demo.yaml"} <= names
    assert {"vesuv/py.typed", "vesuv/report/templates/page.html"} <= names
