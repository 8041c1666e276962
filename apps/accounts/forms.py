"""Forms about people, teams and tokens."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, SetPasswordMixin
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import throttling
from apps.accounts.models import Role, Site, Team, User
from apps.accounts.policy import is_platform_admin
from apps.accounts.selectors import person_called
from apps.accounts.services import note_failed_login
from apps.core.errors import Conflict, Invalid
from apps.core.forms import ShortNameField

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
        self.fields["username"].label = _("User name")
        self.wait_s = 0

    @property
    def _address(self) -> str:
        return throttling.address_of(self.request) if self.request else ""

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
            note_failed_login(username, address=self._address)
            raise
        throttling.note_success(username, self._address)
        return cleaned


class PasswordForm(SetPasswordMixin, forms.Form):  # type: ignore[type-arg]
    """The present password, and twice the one that takes its place."""

    old_password = forms.CharField(
        label=_("Old password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    new_password, repeated = SetPasswordMixin.create_password_fields(
        label1=_("New password"), label2=_("New password confirmation")
    )

    def clean(self) -> dict[str, Any]:
        self.validate_passwords("new_password", "repeated")
        return dict(super().clean() or {})


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """How a person is called and how the portal looks to them."""

    time_zone = forms.ChoiceField(label=_("Time zone"))

    class Meta:
        model = User
        fields = ["first_name", "last_name", "email", "language", "theme", "time_zone"]
        help_texts: ClassVar = {
            "email": _("Who sees a capability of a team that you own or develop for can write to you there.")
        }

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
        try:
            return person_called(self.cleaned_data["username"])
        except Invalid as error:
            raise forms.ValidationError(error.message) from error


class SiteForm(forms.Form):
    """A new site."""

    slug = ShortNameField(
        label=_("Short name"),
        max_length=50,
        help_text=_SLUG_HELP,
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(label=_("Kind"), choices=Site.Kind.choices, initial=Site.Kind.PROVINCE)


class TeamForm(forms.Form):
    """A new team."""

    slug = ShortNameField(
        label=_("Short name"),
        max_length=50,
        help_text=_SLUG_HELP,
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.filter(archived_at=None).order_by("name")
    )


class PersonForm(forms.Form):
    """A new person."""

    username = ShortNameField(label=_("User name"), max_length=150)
    full_name = forms.CharField(label=_("Full name"), max_length=150, required=False)
    password = forms.CharField(
        label=_("First password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters. Tell it to the person, who should change it at once."),
    )


class TeamChangeForm(forms.Form):
    """What of a team can change: its short name stays, since addresses hold it."""

    name = forms.CharField(label=_("Name"), max_length=100)
    site = forms.ModelChoiceField(label=_("Site"), queryset=Site.objects.order_by("name"))
    owner = forms.ModelChoiceField(
        label=_("Owner"),
        queryset=User.objects.none(),
        required=False,
        help_text=_("One of the members; invites others and gives roles beside the administrators."),
    )

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        kwargs["initial"] = {"name": team.name, "site": team.site_id, "owner": team.owner_id}
        super().__init__(*args, **kwargs)
        members = User.objects.filter(memberships__team=team, is_active=True).distinct().order_by("username")
        self.fields["owner"].queryset = members  # type: ignore[attr-defined]
        open_sites = Site.objects.filter(Q(archived_at=None) | Q(pk=team.site_id)).order_by("name")
        self.fields["site"].queryset = open_sites  # type: ignore[attr-defined]


class SiteChangeForm(forms.Form):
    """What of a site can change."""

    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(label=_("Kind"), choices=Site.Kind.choices)


class InviteForm(forms.Form):
    """An address, a team that the person leads, and roles in it."""

    email = forms.EmailField(label=_("E-mail address"))
    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())
    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=Role.choices, widget=forms.CheckboxSelectMultiple
    )
    language = forms.ChoiceField(label=_("Language of the letter"), choices=settings.LANGUAGES)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = Team.objects.filter(archived_at=None).order_by("name")
        admin = is_platform_admin(user)
        self.fields["team"].queryset = teams if admin else teams.filter(owner=user)  # type: ignore[attr-defined]
        self.fields["language"].initial = user.language
        if not admin:
            self.fields["roles"].choices = [c for c in Role.choices if c[0] != Role.ADMIN]  # type: ignore[attr-defined]


class AcceptForm(forms.Form):
    """The name and password of somebody who was invited."""

    username = ShortNameField(
        label=_("User name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username"}),
        help_text=_("Letters, digits, hyphens and underscores."),
    )
    full_name = forms.CharField(
        label=_("Full name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters."),
    )


def show(form: forms.BaseForm, error: Invalid | Conflict) -> None:
    """Put a domain error where the form shows it."""
    fields = error.fields if isinstance(error, Invalid) else {}
    for name, text in fields.items():
        form.add_error(name if name in form.fields else None, text)
    if not set(fields) & set(form.fields):
        form.add_error(None, error.message)
