from __future__ import annotations

import pytest

from tests.data.changing_files import write_three


@pytest.fixture
def root(tmp_path):
    """Three recordings: S1 hears a, S2 hears a and b, S3 hears c."""
    return write_three(tmp_path / "raw")
