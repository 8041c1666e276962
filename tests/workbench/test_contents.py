"""Saving where nothing fits any more, in the sandbox's own Python: what the Lab is told."""

import json
import os
import subprocess
from pathlib import Path

import atrium
from apps.compute import environments

SAVES = """
import asyncio, json, resource, sys
from atrium.contents import Contents
from tornado.web import HTTPError

files = Contents(root_dir=sys.argv[1])
facts = {"type": "file", "format": "text", "content": "x" * 100_000}

def save(path, **more):
    try:
        asyncio.run(files.save({**facts, **more}, path))
    except HTTPError as error:
        return [error.status_code, error.log_message]
    return [200, ""]

said = [save("kept.txt")]
_soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
said += [save("kept.txt", content="y"), save("new.txt"), save("large.bin", chunk=1)]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
said += [save("no/folder.txt"), save("kept.txt", content="z")]
print(json.dumps(said))
"""


def test_a_full_workspace_is_told_in_words_and_other_errors_stay(tmp_path):
    python = environments.build("base", say=lambda words: None) / "bin" / "python"
    known = {"PYTHONPATH": str(Path(atrium.__file__).parents[1])}
    done = subprocess.run(
        [python, "-c", SAVES, tmp_path],
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    first, kept, new, large, elsewhere, last = json.loads(done.stdout)

    assert (first, last) == ([200, ""], [200, ""])
    assert [each[0] for each in (kept, new, large)] == [507] * 3
    assert all("Delete some" in each[1] for each in (kept, new, large))
    assert elsewhere[0] not in (200, 507)
    assert (tmp_path / "kept.txt").read_text() == "z"
