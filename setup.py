"""Ship configs/ inside the package, as vesuv/configs; all else is in pyproject.toml."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copy configs/ beside the modules, except for an editable install, which reads them here."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_tree("configs", f"{self.build_lib}/vesuv/configs")


setup(cmdclass={"build_py": BuildWithConfigs})
