"""What pyproject.toml cannot say of a wheel: ``configs/`` of the repository is ``eeg2speech/configs`` in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

CONFIGS = Path("configs")


class BuildWithConfigs(build_py):  # type: ignore[misc]  # setuptools has no types here
    """Copies the configurations to the package's own modules; an editable installation reads them where they are."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if not self.editable_mode:
            shutil.copytree(CONFIGS, Path(self.build_lib) / "eeg2speech" / "configs", dirs_exist_ok=True)

    def get_source_files(self) -> list[str]:
        """Files that a source distribution has to contain."""
        return [*super().get_source_files(), *(str(file) for file in CONFIGS.rglob("*") if file.is_file())]
