"""What blocks a release: for the command line, and as `%release check` in a notebook."""

from typing import Any

from atrium import magics
from atrium.portal import Portal
from atrium.settings import pages_at


def check_release(portal: Portal, capability: str, number: str) -> list[dict[str, Any]]:
    """The blockers of a version, first things first; `url` is complete. Raises NotFound for an unknown version."""
    found = portal.get("releases/check/", version=portal.version_of(capability, number)["id"])
    pages = pages_at(portal.url)
    return [{**blocker, "url": f"{pages}{blocker['url']}"} for blocker in found]


def _cells(blockers: list[dict[str, Any]]) -> str:
    return "\n".join(f"# {blocker['words']}\n{blocker['cell']}" for blocker in blockers if blocker["cell"])


def tell_blockers(line: str, shell: Any) -> None:
    """What `%release check <capability> <version>` prints; the next cell gets what removes the blockers."""
    words = line.split()
    if len(words) != 3 or words[0] != "check":
        print("Write: %release check <capability> <version>")
        return
    blockers = check_release(Portal(), words[1], words[2])
    if not blockers:
        print(f"Nothing blocks {words[1]} {words[2]}.")
        return
    for number, blocker in enumerate(blockers, 1):
        print(f"{number}. {blocker['words']}\n   {blocker['url']}")
    cells = _cells(blockers)
    if cells:
        shell.set_next_input(cells)


def load_ipython_extension(shell: Any) -> None:
    """Register `%release` and `%atrium`; IPython calls it for `%load_ext atrium.releasing`."""
    magics.load_ipython_extension(shell)
