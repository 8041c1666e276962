"""Checks a release's dossier without the portal: `atrium verify FILE`, or `python -m atrium.dossier FILE`.

What is checked: every file against the manifest; the report against the digest that was signed; the content against
each signature; that enough people signed for the policy, none of them the author; every audit entry against its
own digest. An entry that is not sealed yet, or one whose neighbour is not in the archive, is counted, not failed.
"""

import hashlib
import json
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 30


@dataclass
class Verified:
    """`problems` is empty for an intact dossier; `facts` says what it is about."""

    problems: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def verify(path: Path) -> Verified:
    """Check an archive. Raises ValueError for a file that is no dossier."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"{path} would unpack to more than {MOST_BYTES} bytes")
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files["manifest.json"])
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no dossier: {error}") from error
    found = Verified()
    _files(manifest, files, found)
    if found.problems:
        return found
    documents = {name.removesuffix(".json"): json.loads(data) for name, data in files.items()}
    _content(documents, files, found)
    _signatures(documents, found)
    _audit(documents["audit"], found)
    return found


def _files(manifest: dict[str, Any], files: dict[str, bytes], found: Verified) -> None:
    listed = manifest["files"]
    found.problems += [f"{name} is missing" for name in sorted(set(listed) - set(files))]
    found.problems += [
        f"{name} is not in the manifest" for name in sorted(set(files) - set(listed) - {"manifest.json"})
    ]
    found.problems += [
        f"{name} was changed"
        for name in sorted(set(listed) & set(files))
        if hashlib.sha256(files[name]).hexdigest() != listed[name]
    ]
    found.facts.append(f"{manifest['version']}: {len(listed)} files")


def digest_of(content: Any) -> str:
    """SHA-256 in hex over the content as canonical JSON; the same as the portal computes."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _content(documents: dict[str, Any], files: dict[str, bytes], found: Verified) -> None:
    content, release = documents["content"], documents["release"]
    if digest_of(content) != release["content_digest"]:
        found.problems.append("the content is not what the release was opened with")
    if hashlib.sha256(files["report.json"]).hexdigest() != content["report"]["digest"]:
        found.problems.append("the report is not the one that was signed")
    if documents["report"]["version"]["digest"] != content["artifact"]:
        found.problems.append("the report is about another artifact")
    if documents["report"]["verdict"] != content["report"]["verdict"]:
        found.problems.append("the report says something else than was signed")


def _signatures(documents: dict[str, Any], found: Verified) -> None:
    release, signatures = documents["release"], documents["signatures"]
    for signature in signatures:
        if signature["content_digest"] != release["content_digest"]:
            found.problems.append(f"the signature of {signature['user']} is on another content")
    people = {signature["user"] for signature in signatures}
    if release["author"] in people:
        found.problems.append(f"{release['author']} signed a version of their own")
    wanted = sum(int(signer.get("count", 1)) for signer in documents["content"]["policy"]["signers"])
    signed = release["status"] not in ("signing", "rejected", "voided")
    if signed and len(people) < wanted:
        found.problems.append(f"{len(people)} people signed, the policy asks for {wanted}")
    found.facts.append(f"signed by {', '.join(sorted(people)) or 'nobody'}; {wanted} needed")


def _audit(entries: list[dict[str, Any]], found: Verified) -> None:
    sealed = 0
    for entry in entries:
        if not entry["digest"]:
            continue
        sealed += 1
        told = {
            name: entry[name]
            for name in ("previous", "position", "id", "at", "action", "urn", "actor", "facts")
        }
        if digest_of(told) != entry["digest"]:
            found.problems.append(f"audit entry {entry['position']} ({entry['action']}) was altered")
    found.facts.append(f"{len(entries)} audit entries, {sealed} of them sealed")


if __name__ == "__main__":
    from atrium.cli import main  # it imports this module

    sys.exit(main(["verify", *sys.argv[1:]]))
