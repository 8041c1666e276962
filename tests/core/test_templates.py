"""Templates can be read and name pages that there are: else a page is an error 500 only where that part is shown."""

import re

import pytest
from django.template.loader import get_template
from django.urls import URLPattern, URLResolver, get_resolver

from portal.environment import ROOT

NAMED = re.compile(r"""\{%\s*url\s+['"]([^'"]+)['"]""")


def names(resolver, prefix=()):
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from names(entry, (*prefix, entry.namespace) if entry.namespace else prefix)
        elif isinstance(entry, URLPattern) and entry.name:
            yield ":".join((*prefix, entry.name))


TEMPLATES = ROOT / "templates"


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_each_template_is_read_without_a_fault(path):
    assert get_template(str(path.relative_to(TEMPLATES)))


def test_each_address_that_a_template_names_exists():
    templates = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "apps").rglob("templates/**/*.html")]
    named = {name: path for path in templates for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 150, "the templates were found"

    known = set(names(get_resolver()))
    assert {name: path.name for name, path in named.items() if name not in known} == {}
