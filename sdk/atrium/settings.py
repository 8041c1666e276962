"""Where the portal is and who calls: environment variables first, then what `atrium login` kept."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from atrium import jsontext

PORTAL = "http://portal.localhost:8000"
GATEWAY = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and secrets of this person or workload."""

    url: str
    token: str
    gateway: str
    key: str
    team: str = ""


def config_path() -> Path:
    """The file that `atrium login` writes, readable by its owner only."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(os.environ.get("ATRIUM_CONFIG") or Path(home) / "atrium" / "config.json")


def load() -> Settings:
    """The settings in force: ATRIUM_URL, ATRIUM_TOKEN, … (_GATEWAY_URL, _KEY, _TEAM) win over the file."""
    kept: dict[str, str] = {}
    path = config_path()
    if path.is_file():
        document = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: str(value) for key, value in document.items()} if isinstance(document, dict) else {}
    return Settings(
        url=(os.environ.get("ATRIUM_URL") or kept.get("url") or PORTAL).rstrip("/"),
        token=os.environ.get("ATRIUM_TOKEN") or kept.get("token", ""),
        gateway=(os.environ.get("ATRIUM_GATEWAY_URL") or kept.get("gateway") or GATEWAY).rstrip("/"),
        key=os.environ.get("ATRIUM_KEY") or kept.get("key", ""),
        team=os.environ.get("ATRIUM_TEAM") or kept.get("team", ""),
    )


def pages_at(url: str) -> str:
    """Where a person's browser finds the portal that code calls at `url`: a sandbox reaches it through its door."""
    return (os.environ.get("ATRIUM_PAGES") or url).rstrip("/")


def save(**values: str) -> Path:
    """Keep values in the file, beside those that are there."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(jsontext.pretty(kept | values))
    return path
