"""Check a built site: internal links have a target, and no page loads anything from the network.

python docs/check_links.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes with addresses that a browser loads by itself.
FETCHED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src")}


class Page(HTMLParser):
    """The links of a page, and the anchors that links can refer to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value and ("rel", "canonical") not in attrs:
                self.links.append((tag, name, value))


def broken(site: Path) -> list[str]:
    """Return a line for each broken link of a site."""
    # _static contains templates of the theme, which are not pages.
    files = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = {path.resolve(): Page(path) for path in files}
    problems = []
    for path, page in sorted(pages.items()):
        for tag, attribute, link in page.links:
            where = f"{path.relative_to(site.resolve())}: {link[:120]}"
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if (tag, attribute) in FETCHED and parts.scheme != "data":
                    problems.append(f"{where} is loaded from the network")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            if not target.exists():
                problems.append(f"{where} does not exist")
            elif parts.fragment and unquote(parts.fragment) not in known:
                problems.append(f"{where} has no such anchor")
    return problems


if __name__ == "__main__":
    problems = broken(Path(sys.argv[1]))
    print(*problems, sep="\n")
    sys.exit(f"{len(problems)} broken links" if problems else 0)
