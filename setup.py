"""What pyproject.toml cannot say: in a wheel, configs/ is eeg2speech/configs."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """An editable installation reads them where they are."""

    def run(self) -> None:
        """Copy them to the package's own modules."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("configs", Path(self.build_lib) / "eeg2speech" / "configs", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
