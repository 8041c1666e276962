"""Forms about people, teams and tokens."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import throttling
from apps.accounts.models import Role, Site, User

LANGUAGES = dict(settings.LANGUAGES)
_SLUG_HELP = _("Letters, digits and hyphens; appears in addresses.")


@lru_cache(maxsize=1)
def _zones() -> list[tuple[str, str]]:
    """Places and UTC, in order; the historic abbreviations left out."""
    abstract = ("Etc/", "SystemV/", "posix/", "right/")
    zones = sorted(zoneinfo.available_timezones())
    return [(zone, zone.replace("_", " ")) for zone in zones if "/" in zone and not zone.startswith(abstract)]


class LoginForm(AuthenticationForm):
    """User name and password, with a pause after repeated failures."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _("User name and password do not match. Check both; capitals matter."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wait_s = 0

    @property
    def _address(self) -> str:
        return str(self.request.META.get("REMOTE_ADDR", "")) if self.request else ""

    def clean(self) -> dict[str, Any]:
        username = str(self.cleaned_data.get("username", ""))
        self.wait_s = throttling.seconds_to_wait(username, self._address)
        if self.wait_s:
            raise forms.ValidationError(
                _("Too many failed attempts. Wait %(seconds)d s and try again."),
                params={"seconds": self.wait_s},
            )
        try:
            cleaned = super().clean()
        except forms.ValidationError:
            throttling.note_failure(username, self._address)
            raise
        throttling.note_success(username, self._address)
        return cleaned


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """How a person is called and how the portal looks to them."""

    time_zone = forms.ChoiceField(label=_("Time zone"))

    class Meta:
        model = User
        fields = ["first_name", "last_name", "email", "language", "theme", "time_zone"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = [("UTC", "UTC"), *_zones()]  # type: ignore[attr-defined]


class TokenForm(forms.Form):
    """A new personal token."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("What will use it, such as “nightly export”.")
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        initial=90,
        choices=[
            (7, _("7 days")),
            (30, _("30 days")),
            (90, _("90 days")),
            (365, _("1 year")),
            (0, _("no end")),
        ],
    )

    @property
    def expires_at(self) -> datetime | None:
        """The moment at which the token ends, or None."""
        days: int = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days else None


class MemberForm(forms.Form):
    """A person and the role they get in a team."""

    username = forms.CharField(label=_("User name"), max_length=150)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)

    def clean_username(self) -> User:
        name = self.cleaned_data["username"].strip()
        person = User.objects.filter(username__iexact=name).first()
        if person is None:
            raise forms.ValidationError(
                _("There is no person “%(name)s”. Check the spelling, or add the person first."),
                params={"name": name},
            )
        return person


class SiteForm(forms.Form):
    """A new site."""

    slug = forms.SlugField(
        label=_("Short name"),
        max_length=50,
        help_text=_SLUG_HELP,
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(label=_("Kind"), choices=Site.Kind.choices, initial=Site.Kind.PROVINCE)


class TeamForm(forms.Form):
    """A new team."""

    slug = forms.SlugField(
        label=_("Short name"),
        max_length=50,
        help_text=_SLUG_HELP,
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    site = forms.ModelChoiceField(label=_("Site"), queryset=Site.objects.order_by("name"))


class PersonForm(forms.Form):
    """A new person."""

    username = forms.SlugField(label=_("User name"), max_length=150)
    full_name = forms.CharField(label=_("Full name"), max_length=150, required=False)
    password = forms.CharField(
        label=_("First password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters. Tell it to the person, who should change it at once."),
    )
