"""Hook of mkdocs: the README's pictures for the pages, and a search that works from disk and asks no other server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
SHIM, OURS = "https://unpkg.com/iframe-worker/shim", "search_from_disk.js"


def on_files(files: Files, config: Any) -> Files:
    """Add what lies outside of the pages' folder."""
    for name in ["search_from_disk.js", *(f"images/{image.name}" for image in sorted((HERE / "images").iterdir()))]:
        files.append(File.generated(config, name, abs_src_path=str(HERE / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point from where pictures lie on disk to where they come to lie."""
    return markdown.replace("](../images/", "](images/")


def on_post_page(output: str, page: Page, config: Any) -> str:
    """Put our own script in the place of the one that the offline plugin would load from the network."""
    return output.replace(SHIM, OURS)


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for the page of what is not found."""
    return output_content.replace(SHIM, OURS)
