"""How the workspace's server saves files: as Jupyter does, but where nothing fits any more it says what to do."""

from __future__ import annotations

import errno
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

FULL = (
    "There is no room for this file: the workspace's files have reached their limit. "
    "Delete some, then save again; the terminal's “du -ah . | sort -h” finds the largest."
)
_NO_ROOM = (errno.EFBIG, errno.ENOSPC, errno.EDQUOT)


class Contents(AsyncLargeFileManager):
    """Jupyter's own manager of files; a frozen workspace and a full disk are told in words, not as an error number."""

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """See there. Raises HTTPError 507 where nothing can be written."""
        try:
            return await super().save(model, path)
        except HTTPError as error:
            if not _is_for_want_of_room(error):
                raise
            raise HTTPError(507, FULL) from error


def _is_for_want_of_room(error: BaseException | None) -> bool:
    """Of a new file Jupyter tells that its copy is missing; why it looked for that stands behind."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False
