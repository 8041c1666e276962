"""Which tests follow one another in one worker, and which begin.

A file's tests stay together, so that what they share is made once and not once for each worker; so do the folders
and files of one group. (The `loadgroup` of pytest-xdist 3.8 groups nothing under pytest 9.2: its issue 1386.)
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

#: What shares servers that take long to start, packages that take long to make, or what runs in production, in the
#: order in which they begin: the longest first, so that no worker has to wait for another at the end. Before the
#: journeys stands what needs the running portal and none of its samples, which are being made meanwhile. A path that
#: several places begin with belongs to the longest of them.
GROUPS = {
    "faults": ("tests/portal/test_faults.py",),
    "without samples": (
        "tests/annotation/test_keyboard.py",
        "tests/store/test_keyboard.py",
        "tests/store/test_main_paths_in_a_browser.py",
        "tests/ui/test_bell.py",
    ),
    "journeys": ("tests/journeys/",),
    "workbench": ("tests/workbench/",),
    "packages": ("tests/sdk/",),
    "pages": ("tests/ui/test_every_menu_page.py",),
    "uploads": ("tests/journeys/test_upload.py",),
}


def group_of(path: str) -> str:
    """The group of a test file, or the file itself."""
    found = [(place, name) for name, places in GROUPS.items() for place in places if path.startswith(place)]
    return max(found, key=lambda each: len(each[0]))[1] if found else path


class Scheduling(LoadFileScheduling):
    """Gives out whole groups, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    """Ours in place of xdist's, where it was asked to keep files together."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups come first."""
    rank = {name: number for number, name in enumerate(GROUPS)}
    items.sort(key=lambda item: rank.get(group_of(item.nodeid), len(rank)))
