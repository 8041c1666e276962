# ruff: noqa: E501  the template is one string
"""A page with every component on it, for the tests alone."""

from __future__ import annotations

import math

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

from portal.urls import urlpatterns as portals

WAVE = {
    "data": [
        {
            "type": "scatter",
            "name": "p50",
            "x": list(range(24)),
            "y": [12 + 4 * math.sin(x / 3) for x in range(24)],
        },
        {
            "type": "scatter",
            "name": "p95",
            "x": list(range(24)),
            "y": [30 + 9 * math.sin(x / 4) for x in range(24)],
        },
    ],
    "layout": {"xaxis": {"title": {"text": "Hour"}}, "yaxis": {"title": {"text": "Latency in ms"}}},
}
BARS = {"data": [{"type": "bar", "x": [str(n) for n in range(10)], "y": [0.01] * 7 + [0.91, 0.01, 0.01]}]}

PAGE = """
{% extends "base.html" %}{% load i18n atrium %}
{% block title %}Components{% endblock %}{% block subtitle %}All of them.{% endblock %}
{% block actions %}<button class="btn btn-plain">Plain</button><button class="btn btn-primary">Primary</button>{% endblock %}
{% block tabs %}<nav class="tabs" aria-label="Tabs">{% tab "/a/" "Overview" True "home" %}{% tab "/b/" "Versions" False "versions" 12 %}</nav>{% endblock %}
{% block content %}
<div class="grid mb-3">{% include "components/stat.html" with label="Calls today" value=1234567 hint="of 2,000,000" %}{% include "components/stat.html" with label="p95" value=41.5 unit="ms" digits=1 %}</div>
<div class="row g-3"><div class="col-lg-6"><div class="card"><div class="card-body">{% chart wave "Latency" %}</div></div>
<div class="card"><div class="card-body">{% chart bars "Probabilities" 220 "Which class the model sees." %}</div></div></div>
<div class="col-lg-6"><div class="card"><div class="card-body">{% for word in words %}{% badge word %} {% endfor %}</div></div>
<div class="card"><div class="card-body">{% progress 0.4 "fitting" %}<br>{% progress None "waiting" %}</div></div>
<div class="card"><div class="card-body">{% include "components/code.html" with code="curl -H 'Authorization: Bearer atk_…' http://127.0.0.1:8080/v2/models/digits/infer -d @image.json --very-long-option-that-does-not-fit" label="curl" %}</div></div>
<div class="card"><div class="card-body">{% include "components/confirm.html" with url="/x/" action="Delete" icon="trash" title="Delete it?" text="It is gone for good." reason="Why" %}</div></div>
<div class="card">{% include "components/empty.html" with icon="box" title="No versions yet" text="Upload a model to make the first one." url="/up/" action="Upload a model" %}</div>
<div class="card"><div class="card-body"><dl class="facts"><dt>Digest</dt><dd><code>4f1d0c7aa0be4f1d0c7aa0be4f1d0c7aa0be4f1d0c7aa0be4f1d0c7aa0be4f1d</code></dd><dt>Size</dt><dd>{% bytes_size 123456789 %}</dd><dt>Took</dt><dd>{% duration 4210 %}</dd></dl></div></div>
{% include "components/note.html" with tone="wait" icon="alert-triangle" title="Careful." text="This is a note." %}
</div></div>
<div class="card mt-3"><div class="card-body">{% include "components/form.html" with submit="Send" %}</div></div>
{% endblock %}
"""


class EveryField(forms.Form):
    """One of each kind."""

    name = forms.CharField(help_text="Short.")
    note = forms.CharField(widget=forms.Textarea, required=False)
    size = forms.ChoiceField(choices=[("s", "Small"), ("l", "Large")])
    agree = forms.BooleanField(label="I agree")
    kind = forms.ChoiceField(widget=forms.RadioSelect, choices=[("a", "One"), ("b", "Two")])
    many = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, choices=[("a", "One"), ("b", "Two")]
    )
    file = forms.FileField()


def gallery(request: HttpRequest) -> HttpResponse:
    """The form is shown with its errors."""
    words = [
        "ready",
        "running",
        "queued",
        "failed",
        "stopped",
        "draft",
        "signed",
        "rolled_back",
        "expired",
        "strange",
    ]
    context = {"wave": WAVE, "bars": BARS, "words": words, "form": EveryField({"size": "x"})}
    return HttpResponse(engines["django"].from_string(PAGE).render(context, request))


urlpatterns = [path("gallery/", gallery, name="gallery"), path("", include(portals))]
