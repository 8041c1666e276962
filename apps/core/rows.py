"""A form field for a list of objects: each is a row of ordinary fields, and rows are added and removed in the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.formsets import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class PercentField(forms.FloatField):
    """A share, 0.05, that people read and write as 5 (%). Its limits are in percent, as the messages name them."""

    def prepare_value(self, value: Any) -> Any:
        return f"{value * 100:.10g}" if isinstance(value, int | float) else value

    def clean(self, value: Any) -> float | None:
        number = super().clean(value)
        return None if number is None else round(number / 100, 12)


class ValueField(forms.CharField):
    """A value as people write it: 5, 0.1, true, a list or an object are what JSON takes them for, the rest is text."""

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        return _value(super().clean(value))


class ValuesField(forms.CharField):
    """Several such values with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return ", ".join(each if isinstance(each, str) else json.dumps(each) for each in value)

    def clean(self, value: Any) -> list[Any]:
        return [_value(each) for each in str(super().clean(value)).split(",") if each.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text.strip()


class SuggestingInput(forms.TextInput):
    """A text input with words to choose from; any other may be typed as well."""

    template_name = "components/suggesting_input.html"

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(attrs={"autocomplete": "off", "spellcheck": "false"})
        self.words = words

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["list"] = f"{context['widget']['attrs'].get('id', name)}-words"
        return context | {"words": self.words}


class RowsWidget(forms.Widget):
    """Draws the rows, the button that adds one, and reads them back as a bound formset."""

    template_name = "components/rows.html"

    def __init__(self, row: type[forms.Form], *, most: int, add: Any) -> None:
        super().__init__()
        self.add, self.most = add, most
        self.formset = formset_factory(row, extra=0, can_delete=True, absolute_max=most, max_num=most)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> BaseFormSet[Any]:
        return self.formset(data, files, prefix=name)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-TOTAL_FORMS" not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        rows = value if isinstance(value, BaseFormSet) else self.formset(prefix=name, initial=value or [])
        return super().get_context(name, None, attrs) | {"rows": rows, "add": self.add, "most": self.most}


class RowsField(forms.Field):
    """A list of dicts; `row` is the form that one row is. What is empty at first and stays so is not in the dict."""

    widget: RowsWidget
    default_error_messages = {"required": _("Add at least one row.")}

    def __init__(self, row: type[forms.Form], *, add: Any, most: int = 50, **options: Any) -> None:
        super().__init__(widget=RowsWidget(row, most=most, add=add), **options)

    def clean(self, value: BaseFormSet[Any]) -> list[dict[str, Any]]:
        """Raises ValidationError when a row is wrong; the row itself says why."""
        if not value.is_valid():
            raise forms.ValidationError([*value.non_form_errors(), *_wrong(value)])
        kept = [_complete(form) for form in value.forms if form not in value.deleted_forms]
        rows = [_told(form) for form in kept if form.cleaned_data]
        if self.required and not rows:
            raise forms.ValidationError(self.error_messages["required"], code="required")
        return rows

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


def _complete(form: forms.Form) -> forms.Form:
    """A row that was left as it was offered counts too, where nothing is missing in it."""
    if form.cleaned_data:
        return form
    offered = type(form)(form.data, prefix=form.prefix)
    return offered if offered.is_valid() else form


def _wrong(rows: BaseFormSet[Any]) -> Iterator[str]:
    for number, form in enumerate(rows.forms, 1):
        for name, errors in form.errors.items():
            if name in form.fields:
                facts = {"number": number, "label": form[name].label, "why": errors[0]}
                yield _("Row %(number)d, %(label)s: %(why)s") % facts
            else:
                yield _("Row %(number)d: %(why)s") % {"number": number, "why": errors[0]}


def _told(form: forms.Form) -> dict[str, Any]:
    return {
        name: value
        for name, value in form.cleaned_data.items()
        if name != "DELETE" and (form.fields[name].required or not _is_empty(form.fields[name], value))
    }


def _is_empty(field: forms.Field, value: Any) -> bool:
    if isinstance(field, forms.BooleanField):
        return not value and not field.initial
    return value is None or value in ("", [])
