"""Pages of the site that are files elsewhere, and links that work on GitHub and on the site; mkdocs.yml names it."""

import json
import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "env/README.md": "environments.md",
    "patches/README.md": "patches.md",
    "docs/tutorials/results.ipynb": "tutorials/results.md",
}
"""Files of the repository that are pages of the site, and the pages' names."""
SOURCES = {page: source for source, page in ELSEWHERE.items()}
LINK = re.compile(r"^ *```.*?^ *```|\[((?:[^\[\]]|!\[[^\]]*\])*)\]\(([^)\s]+)\)|(<img src=\")([^\"]+)", re.M | re.S)
"""A block of code, a link or an image."""


def on_files(files, config):
    """Add the pages from elsewhere."""
    for source, page in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = notebook(json.loads(text)) if source.endswith(".ipynb") else text
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Let links lead to the site's pages; a link to a file that is not on the site becomes its text."""
    here = page.file.src_uri
    folder = posixpath.dirname(SOURCES.get(here, f"docs/{here}"))

    def rewritten(match):
        words, link, image, picture = match.groups()
        target, anchor = (link or picture or "").partition("#")[::2]
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        on_site = ELSEWHERE.get(path) or (path[len("docs/") :] if path.startswith("docs/") else "")
        if not on_site:
            return words
        relative = posixpath.relpath(on_site, posixpath.dirname(here) or ".") + (f"#{anchor}" if anchor else "")
        return f"{image}{relative}" if image else f"[{words}]({relative})"

    return LINK.sub(rewritten, markdown)


def notebook(cells):
    """A notebook as Markdown: its text, its code, and what the code printed and drew."""
    parts = []
    for cell in cells["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="what the code draws">')
            else:
                parts.append("```text\n" + "".join(output.get("text") or data["text/plain"]).rstrip() + "\n```")
    return "\n\n".join(parts) + os.linesep
