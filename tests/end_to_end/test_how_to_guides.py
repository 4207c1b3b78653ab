"""The commands of how-to guides and of the reference run; `test_pages` has those that follow a tutorial."""

import pytest
from documentation import pages
from followed_pages import FollowedPages

PAGES = [page for page in (*pages("how-to"), *pages("reference")) if page.is_run and page.before is None]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    return FollowedPages(tmp_path_factory.mktemp)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_runs(followed, page):
    followed.follow(page)


def test_most_how_to_guides_run():
    assert len(PAGES) > 6
