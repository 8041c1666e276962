"""What a sandbox may reach of the network: the administrator's list of hosts. Pure rules, without Django."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
LONGEST_NAME = 253
PLAIN_PORTS = (80, 443)
"""What an entry without a port opens."""


@dataclass(frozen=True)
class Rule:
    """One entry of the list: `host`, `host:port`, or `*.domain` for every name below a domain."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read an entry. Raises ValueError, which says what is wrong with it."""
        host, port = split(text.strip().lower())
        name = host.removeprefix("*.")
        if host != name and "." not in name:
            raise ValueError(f"“{text}” would open a whole top-level domain")
        if not (address_of(host) or (_NAME.fullmatch(name) and len(host) <= LONGEST_NAME)):
            raise ValueError(f"“{text}” is no host name: write host, host:port or *.domain, without https://")
        return cls(host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    def covers(self, host: str, port: int) -> bool:
        """Whether this entry opens that host and port."""
        if port not in ((self.port,) if self.port else PLAIN_PORTS):
            return False
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host

    @property
    def is_named_here(self) -> bool:
        """Whether the entry itself names an address, or this machine: then it may lead to loopback."""
        return address_of(self.host) is not None or self.host == "localhost"


def split(text: str) -> tuple[str, int | None]:
    """`host[:port]`, with an IPv6 address in brackets. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/\s]+))(?::(\d{1,5}))?", text.lower())
    if match is None:
        raise ValueError(f"“{text[:100]}” is neither host nor host:port")
    port = int(match[3]) if match[3] else None
    if port is not None and not 0 < port < 65_536:
        raise ValueError(f"{port} is no port: from 1 to 65535")
    return (match[1] or match[2]).rstrip("."), port


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def rule_for(rules: Iterable[Rule], host: str, port: int) -> Rule | None:
    """The first entry that opens this host and port."""
    return next((rule for rule in rules if rule.covers(host, port)), None)


def may_lead_to(rule: Rule, address: str) -> bool:
    """Whether a name that `rule` opens may resolve to `address`.

    A name that resolves to this machine would lead around the sandbox to whatever listens here on loopback.
    """
    found = address_of(address.partition("%")[0])
    if found is None:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    inward = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
    return rule.is_named_here or not inward
