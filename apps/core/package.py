"""The `atrium` package as a wheel, so that people install it from the portal that they use."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

_SDK = Path(__file__).resolve().parents[2] / "sdk" / "pyproject.toml"


@dataclass(frozen=True)
class Wheel:
    """A file name as pip expects it, and the file."""

    name: str
    content: bytes


@cache
def wheel() -> Wheel:
    """The package of this checkout; pure Python without dependencies, so that one file serves every machine."""
    from flit_core.wheel import make_wheel_in  # once in the life of a process, and not in most

    with tempfile.TemporaryDirectory(prefix="atrium-wheel-") as folder:
        made = Path(make_wheel_in(_SDK, Path(folder)).file)
        return Wheel(made.name, made.read_bytes())


def install_line() -> str:
    """What a person types to have `import atrium` and the command `atrium`."""
    return f"pip install {for_programs(settings.ATRIUM.web_url)}{reverse('package', args=[wheel().name])}"


def for_programs(url: str) -> str:
    """An address of ours as programs find it: browsers know that names below .localhost are this machine, many
    resolvers do not.
    """
    host = urlsplit(url).hostname or ""
    return url.replace(host, "127.0.0.1", 1) if host.endswith(".localhost") else url


@require_safe
@cache_control(public=True, max_age=300)
def download(request: HttpRequest, name: str) -> HttpResponse:
    """The wheel, for pip: it logs nobody in, and the package holds no secret."""
    if name != wheel().name:
        raise Http404
    return HttpResponse(wheel().content, content_type="application/octet-stream")
