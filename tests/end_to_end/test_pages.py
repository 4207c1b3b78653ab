"""The commands of README, of each tutorial and of each page that goes on where one ends run, in order."""

import contextlib
import re

import pytest
from documentation import Page, pages
from followed_pages import FollowedPages, follow
from repository import ROOT

_LATER = [page for page in (*pages("how-to"), *pages("reference")) if page.is_run and page.before]
PAGES = [*pages("tutorials"), *_LATER, Page(ROOT / "README.md")]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    return FollowedPages(tmp_path_factory.mktemp)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_runs(followed, page):
    followed.follow(page)


def test_tutorials_run_all_but_what_installs_and_copies():
    for page in pages("tutorials"):
        for block in page.blocks:
            assert block.mark("not run") is None or re.match("(pip|scp|python3 -m venv) ", block.text)


def test_a_command_that_fails_fails_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nplan nothing.yaml\n```\n\n```sh\necho later\n```\n")
    with pytest.raises(AssertionError, match=r"nothing\.yaml"):
        follow(Page(page), tmp_path)


@pytest.mark.parametrize(("code", "right"), [(3, True), (4, False)])
def test_a_command_ends_with_the_exit_code_that_the_page_says(tmp_path, code, right):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- exit code: {code} -->\n```sh\nexit_with() {{ return 3; }}; exit_with\n```\n")
    with contextlib.nullcontext() if right else pytest.raises(AssertionError):
        follow(Page(page), tmp_path)
