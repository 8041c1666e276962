"""Forms look the same everywhere: this renderer puts Tabler's markup around every Django form."""

from __future__ import annotations

from django.forms.renderers import TemplatesSetting


class FormRenderer(TemplatesSetting):
    """`{{ form }}` and `{{ form.name.as_field_group }}` use the portal's components."""

    form_template_name = "components/form_fields.html"
    field_template_name = "components/field.html"
