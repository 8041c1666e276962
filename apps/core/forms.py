"""Forms look the same everywhere: this renderer puts Tabler's markup around every Django form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.forms.renderers import TemplatesSetting
from django.utils.translation import gettext_lazy as _


class FormRenderer(TemplatesSetting):
    """`{{ form }}` and `{{ form.name.as_field_group }}` use the portal's components."""

    form_template_name = "components/form_fields.html"
    field_template_name = "components/field.html"


_SHORT_NAME = _("Use letters, digits, hyphens and underscores, without spaces, such as “radio-core”.")


class ShortNameField(forms.SlugField):
    """A name that stands in addresses, such as `radio-core`; refused in our words instead of Django's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators = [RegexValidator(r"^[-a-zA-Z0-9_]+\Z", _SHORT_NAME), *self.validators[1:]]
