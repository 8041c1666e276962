"""What this machine's own pip, npm and git are set up with: which hosts they use, and how a sandbox uses the same.

No package host is written down here. What a client says of itself is taken; credentials in it are left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from . import Rule

ASKS_S = 60.0
_CERTIFICATES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)
_SEEN_INSIDE = ("/etc/ssl/", "/usr/")
"""Folders of the machine that every sandbox has too."""


def hosts() -> tuple[list[str], bool]:
    """The entries that the machine's clients need: their indexes, and where those keep the files.

    False beside them while pip's index does not answer, so that nobody knows where it keeps its files.
    """
    files = _files_of_pip()
    found = {*_pip_sources(), *files, *_npm_registry(), *_git_servers()}
    return sorted({str(rule) for url in found for rule in _rules(url)}), bool(files)


def variables() -> dict[str, str]:
    """Environment variables with which pip, uv and npm inside use the same indexes as the machine's."""
    sources = _pip_settings()
    index = _public(sources.get("index-url", ""))
    extra = " ".join(filter(None, map(_public, sources.get("extra-index-url", "").split())))
    npm = next(iter(_npm_registry()), "")
    asked = {
        "PIP_INDEX_URL": index,
        "UV_DEFAULT_INDEX": index,
        "PIP_EXTRA_INDEX_URL": extra,
        "UV_INDEX": extra,
        "PIP_TRUSTED_HOST": sources.get("trusted-host", "").replace("\n", " "),
        "npm_config_registry": _public(npm),
        "UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", ""),
    }
    shared = {name: os.environ.get(name, "") for name in _CERTIFICATES}
    shared["PIP_CERT"] = shared["PIP_CERT"] or sources.get("cert", "")
    asked |= {name: path for name, path in shared.items() if path.startswith(_SEEN_INSIDE)}
    return {name: value for name, value in asked.items() if value}


def _pip_settings() -> dict[str, str]:
    """What `pip config` knows, environment variables last, as they win."""
    found: dict[str, str] = {}
    lines = _said([sys.executable, "-m", "pip", "config", "list"]).splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        match = re.fullmatch(r"(?:global|install|:env:)\.([a-z-]+)='(.*)'", line)
        if match:
            found[match[1]] = match[2].replace("\\n", "\n")
    return found


def _pip_sources() -> list[str]:
    """Each index and page of links; pip's own default where no index is set."""
    settings = _pip_settings()
    if "index-url" not in settings:
        told = _said([sys.executable, "-m", "pip", "install", "--help"])
        default = re.search(r"\(default\s+(https?://[^\s)]+)", told)
        settings["index-url"] = default[1] if default else ""
    names = ("index-url", "extra-index-url", "find-links")
    return [url for name in names for url in settings.get(name, "").split()]


def _files_of_pip() -> set[str]:
    """Where the index keeps its files, which may be another host: asked by looking one up, without installing it."""
    arguments = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-", "pip"]
    try:
        report = json.loads(_said([sys.executable, "-m", "pip", *arguments]))
        return {str(one["download_info"]["url"]) for one in report["install"]}
    except (ValueError, KeyError, TypeError):
        return set()


def _npm_registry() -> set[str]:
    return {_said([npm, "config", "get", "registry"]).strip()} if (npm := shutil.which("npm")) else set()


def _git_servers() -> set[str]:
    """Servers that git is told to use in place of others."""
    if not shutil.which("git"):
        return set()
    said = _said(["git", "config", "--global", "--get-regexp", r"^url\..*\.insteadof$"])
    return {match[1] for match in re.finditer(r"(?m)^url\.(\S+)\.insteadof ", said)}


def _rules(url: str) -> list[Rule]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return []
    usual = 443 if parts.scheme == "https" else 80
    return [Rule(parts.hostname, None if parts.port in (None, usual) else parts.port)]


def _public(url: str) -> str:
    """An index without user and password; nothing where it is no address of the network."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _said(argv: list[str]) -> str:
    """What a client prints; nothing when it fails or takes too long."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1", "COLUMNS": "400"}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=ASKS_S,
            check=False,
            env=environment,
            cwd=Path("/"),
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
