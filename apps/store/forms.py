"""Forms of the store."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Team
from apps.compute.forms import DataPicker, choices
from apps.compute.job_data import Offer
from apps.core.errors import Invalid
from apps.store.limits import WrongLimit, parse_limits
from apps.store.models import Demand, Plan, Review, Subscription
from apps.store.selectors import teams_called, teams_found
from apps.store.services import LIMITS, OVERLAP, wrong_limit

if TYPE_CHECKING:
    from collections.abc import Sequence


class SubscribeForm(forms.Form):
    """For which team, and what for."""

    team = forms.ModelChoiceField(Team.objects.none(), label=_("For the team"), empty_label=None)
    use_case = forms.CharField(
        label=_("What it is for"),
        widget=forms.Textarea(attrs={"rows": 4, "maxlength": 2000}),
        max_length=2000,
        required=False,
        help_text=_("Whoever decides, and the provider, read it."),
    )

    def __init__(self, *args: Any, teams: QuerySet[Team], must_explain: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = teams  # type: ignore[attr-defined]
        self.fields["use_case"].required = must_explain


class KeyForm(forms.Form):
    """Until when a key works, and for how long the one that it replaces does."""

    OVERLAPS = (
        (0, _("not at all")),
        (1, _("1 hour")),
        (24, _("1 day")),
        (7 * 24, _("7 days")),
        (30 * 24, _("30 days")),
    )
    expires_on = forms.DateField(required=False)
    overlap_hours = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, choices=OVERLAPS)

    def end_for(self, subscription: Subscription) -> datetime | None:
        """The end of the chosen day, on the subscription's last day its own end; None where none was chosen."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        last = subscription.expires_at
        if last is not None and timezone.localdate(last) == day:
            return last
        return timezone.make_aware(datetime.combine(day, time.max))

    @property
    def overlap(self) -> timedelta:
        """How long the old key works on."""
        hours: int | None = self.cleaned_data["overlap_hours"]
        return OVERLAP if hours is None else timedelta(hours=hours)


class SuccessorForm(forms.Form):
    """Which plan takes the place of another, and on which day subscribers are moved."""

    successor = forms.ModelChoiceField(Plan.objects.none(), required=False)
    moves_on = forms.DateField(required=False)

    def __init__(self, *args: Any, plans: QuerySet[Plan], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["successor"].queryset = plans  # type: ignore[attr-defined]


class TeamPicker(DataPicker):
    """A search for teams, by their short names."""

    address = "store:teams"
    search = _("Search teams")

    def listed(self, field: str, names: Sequence[str]) -> dict[str, Any]:
        return teams_picked(field, names)


def teams_picked(field: str, names: Sequence[str], words: str = "") -> dict[str, Any]:
    """What the list of a picker of teams shows."""
    return choices(
        field,
        [_offer_of(team) for team in teams_called(names)],
        lambda most: [_offer_of(team) for team in teams_found(words, most=most)],
        words=words,
    ) | {"empty": _("There is no other team yet."), "unknown": _("No other team is called so.")}


def _offer_of(team: Team) -> Offer:
    return Offer(team.slug, team.name, team.site.name)


class TrustedTeamsForm(forms.Form):
    """Which teams subscribe without asking."""

    teams = forms.Field(label=_("Teams"), required=False, widget=TeamPicker)

    def clean_teams(self) -> list[Team]:
        """The teams that were chosen. May raise ValidationError."""
        names = dict.fromkeys(self.cleaned_data["teams"] or ())
        found = teams_called(list(names))
        if lost := names.keys() - {team.slug for team in found}:
            raise forms.ValidationError(_("There is no team “%(team)s”.") % {"team": min(lost)[:60]})
        return found


class PlanForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A plan with its limits as numbers."""

    rate_per_s = forms.FloatField(label=LIMITS["rate_per_s"], required=False, min_value=0.001)
    burst = forms.IntegerField(label=LIMITS["burst"], required=False, min_value=1)
    per_day = forms.IntegerField(label=LIMITS["per_day"], required=False, min_value=1)
    per_month = forms.IntegerField(label=LIMITS["per_month"], required=False, min_value=1)
    concurrent = forms.IntegerField(label=LIMITS["concurrent"], required=False, min_value=1)
    payload_bytes = forms.IntegerField(
        label=LIMITS["payload_bytes"],
        required=False,
        min_value=1,
        help_text=_("Larger ones are kept as files beside the log."),
    )

    class Meta:
        model = Plan
        fields = ["name", "description", "approval", "valid_days", "reuse", "device", "trial"]

    @classmethod
    def of(cls, plan: Plan, data: QueryDict | None) -> PlanForm:
        """The form of a draft, with what it says now."""
        return cls(data, initial={name: getattr(plan, name) for name in cls.Meta.fields} | plan.limits)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        limits = {
            name: self.cleaned_data.get(name) for name in LIMITS if self.cleaned_data.get(name) is not None
        }
        try:
            parse_limits(limits)
        except WrongLimit as error:
            self.add_error(error.name, wrong_limit(error))
        return cleaned

    def show(self, error: Invalid) -> None:
        """Put what a service refused where the form shows it."""
        told = {name: text for name, text in error.fields.items() if name in self.fields}
        for name, text in told.items():
            self.add_error(name, text)
        if not told:
            self.add_error(None, error.message)

    def cleaned_plan(self) -> dict[str, Any]:
        """What `create_plan` takes."""
        data = self.cleaned_data
        limits = {name: data[name] for name in LIMITS if data.get(name) is not None}
        return {name: data[name] for name in self.Meta.fields} | {"limits": limits}


class ReviewForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Stars and words."""

    rating = forms.TypedChoiceField(
        label=_("Rating"),
        coerce=int,
        choices=[
            (5, _("5, excellent")),
            (4, _("4, good")),
            (3, _("3, fair")),
            (2, _("2, poor")),
            (1, _("1, bad")),
        ],
        widget=forms.RadioSelect,
    )

    class Meta:
        model = Review
        fields = ["rating", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4, "maxlength": 4000})}


class DemandForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """What is wanted, and what for."""

    class Meta:
        model = Demand
        fields = ["title", "need"]
        widgets = {"need": forms.Textarea(attrs={"rows": 5, "maxlength": 4000})}
