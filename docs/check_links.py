"""Check the links of the built site: every local target and anchor has to exist.

    python docs/check_links.py docs/_build/html

Sphinx checks its own references during the build; this script reads the HTML, as a browser does.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_TARGETS = {"a": "href", "img": "src", "link": "href", "script": "src", "source": "src"}


class _Page(HTMLParser):
    """The anchors and link targets of a page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.targets = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        target = attributes.get(_TARGETS.get(tag))
        if target:
            self.targets.add(target)


def broken_links(folder):
    """Return a sorted list of (page, target) without a file or anchor in the site at `folder`."""
    folder = Path(folder).resolve()
    # _static contains templates of the theme.
    files = [file for file in folder.rglob("*.html") if folder / "_static" not in file.parents]
    pages = {file: _Page(file.read_text(encoding="utf-8")) for file in files}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            file = path
            if url.path:
                start = folder if url.path.startswith("/") else path.parent
                file = (start / unquote(url.path).lstrip("/")).resolve()
            file = file / "index.html" if file.is_dir() else file
            anchor = unquote(url.fragment)
            known = pages[file].anchors if file in pages else set()
            if not file.is_file() or (anchor and file in pages and anchor not in known):
                broken.append((path.relative_to(folder).as_posix(), target))
    return sorted(broken)


def main():
    (folder,) = sys.argv[1:]
    if not list(Path(folder).rglob("*.html")):
        sys.exit(f"{folder} contains no HTML: build the site first.")
    broken = broken_links(folder)
    for page, target in broken:
        print(f"{page}: {target} does not exist")
    if broken:
        sys.exit(f"{len(broken)} broken links.")
    print(f"All links in {folder} have a target.")


if __name__ == "__main__":
    main()
