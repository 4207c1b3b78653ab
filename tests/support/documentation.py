"""The documentation's pages: their blocks, marks, links, headings and sentences.

Marks are HTML comments on the line before a block; a reader does not see them:

- `<!-- file: NAME -->`: the reader saves the block as NAME
- `<!-- not run: WHY -->`: a reader runs the block, a test does not
- `<!-- exit code: N -->`: the block ends with it
- `<!-- background: TEXT -->`: each line is a command that goes on, and says TEXT when it is ready;
  `, in FOLDER ...` starts the block once in each of these folders
- `<!-- stop -->` (before no block): the reader ends what goes on
- `<!-- in the test: A = B, ... -->`: from here on the test writes B for A
- `<!-- after: PAGE -->`, `<!-- needs: MODULE, ... -->`: the page goes on where another ended, and needs
  modules
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from repository import ROOT

DOCS = ROOT / "docs"
MARKS = {
    "after", "background", "exit code", "file", "in the test", "main command", "needs", "not run", "stop",
    "test command",
}  # fmt: skip
_MARK = re.compile(r"<!-- (?P<name>[a-z ]+?)(: (?P<text>.*?))? -->")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a page tells a test."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the marks right before it."""

    language: str
    text: str
    marks: tuple[Mark, ...]
    line: int

    def mark(self, name: str) -> str | None:
        """Return the text of a mark, or None."""
        return next((mark.text for mark in self.marks if mark.name == name), None)


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All marks of the page, those of blocks as well."""
        return tuple(mark for token in self.tokens if token.type == "html_block" for mark in _marks(token))

    @property
    def before(self) -> str | None:
        """The page where another one ends that this one goes on from, as a path from here."""
        return next((mark.text for mark in self.marks if mark.name == "after"), None)

    @property
    def is_run(self) -> bool:
        """Whether there is a command on it that a test runs."""
        return any(block.language == "sh" and block.mark("not run") is None for block in self.blocks)

    @property
    def steps(self) -> Iterator[Block | Mark]:
        """Blocks in order, and between them the marks that belong to none."""
        pending: tuple[Mark, ...] = ()
        for token, following in pairwise([*self.tokens, Token("end", "", 0)]):
            if token.type == "html_block":
                pending = _marks(token)
                if following.type != "fence":
                    yield from pending
                    pending = ()
            elif token.type == "fence":
                assert token.map is not None
                yield Block(token.info.strip(), token.content, pending, token.map[0] + 1)
                pending = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(step for step in self.steps if isinstance(step, Block))

    @property
    def links(self) -> tuple[str, ...]:
        """What links and pictures point at."""
        return tuple(
            str(child.attrs.get("href") or child.attrs.get("src"))
            for token in self._inline()
            for child in token.children or ()
            if child.type in ("link_open", "image")
        )

    @property
    def anchors(self) -> frozenset[str]:
        """The anchors that headings have on GitHub."""
        found: dict[str, int] = {}
        for token, inline in pairwise(self.tokens):
            if token.type == "heading_open":
                title = _plain(inline).strip().lower()
                slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
                found[slug] = found.get(slug, -1) + 1
        return frozenset(
            slug if not n else f"{slug}-{n}" for slug, last in found.items() for n in range(last + 1)
        )

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The prose of paragraphs and list items, without code, headings and tables."""
        return tuple(
            _plain(inline, code=False)
            for token, inline in pairwise(self.tokens)
            if token.type == "paragraph_open" and _plain(inline, code=False).strip()
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of the prose."""
        parts = (part for paragraph in self.paragraphs for part in _SENTENCE_END.split(paragraph))
        return tuple(part for part in parts if _WORD.search(part))

    @property
    def inline_code(self) -> tuple[str, ...]:
        return tuple(
            child.content
            for token in self._inline()
            for child in token.children or ()
            if child.type == "code_inline"
        )

    def _inline(self) -> Iterator[Token]:
        return (token for token in self.tokens if token.type == "inline")


def pages(folder: str = "") -> list[Page]:
    """Return the pages below a folder of docs/; README with all of them."""
    found = [Page(path) for path in sorted((DOCS / folder).rglob("*.md"))]
    return found if folder else [Page(ROOT / "README.md"), *found]


def words(sentence: str) -> list[str]:
    """Return the words of a sentence."""
    return [word for word in sentence.split() if _WORD.search(word)]


def _marks(token: Token) -> tuple[Mark, ...]:
    return tuple(Mark(found["name"], found["text"] or "") for found in _MARK.finditer(token.content))


def _plain(inline: Token, *, code: bool = True) -> str:
    """Return the text that a reader sees; a piece of code counts as a word."""
    parts = []
    for child in inline.children or ():
        if child.type == "code_inline":
            parts.append(child.content if code else "code")
        elif child.type in ("text", "softbreak"):
            parts.append(child.content or " ")
    return "".join(parts)
