"""The table of ``docs/pages/developing.md`` names existing files, and its layers are those of the contract."""

from __future__ import annotations

import re
import tomllib

from tests.docs.blocks import ROOT

TEXT = (ROOT / "docs/pages/developing.md").read_text()


def test_the_table_leads_to_files_that_exist() -> None:
    rows = re.findall(r"^\| [^|]+ \| `([^`|]+)` \|$", TEXT, re.MULTILINE)
    paths = [row for row in rows if "/" in row]
    assert len(paths) >= 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one.get("containers") == ["eeg2speech"]]
    assert contract["exhaustive"]
    drawn = re.search(r"^```\n(cli .*?)```$", TEXT, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    names = [re.split(r" {2,}", row)[0] for row in drawn[1].splitlines()]
    assert names == contract["layers"]


def test_nothing_is_loose_at_the_root() -> None:
    files = {file.name for file in (ROOT / "eeg2speech").iterdir() if file.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed"}
