"""Django's admin for the rest: rows of the tables that have no page of their own, to look at, for administrators.

Nothing is changed here: services alone write, with their checks, audit entries and events. A table that gets a page
is added to HAVE_PAGES and leaves; a new one is here by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from apps.accounts.policy import is_platform_admin, may_administer
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    ModelPaginator = Paginator[models.Model]
    ModelAdmin = admin.ModelAdmin[models.Model]
else:  # neither is generic at run time
    ModelPaginator, ModelAdmin = Paginator, admin.ModelAdmin

HAVE_PAGES = {
    "core": {"AuditEntry", "Heartbeat", "LineageEdge"},
    "accounts": {"User", "Site", "Team", "Membership", "PersonalToken", "Invitation"},
    "requests": {
        *(
            "Request",
            "Step",
            "Decision",
            "Deputy",
            "Comment",
            "Notification",
            "MailChoice",
            "Webhook",
            "Delivery",
        ),
    },
    "compute": {"Job", "Attempt", "AllowedHost", "EgressRecord"},
    "datasets": {"Dataset", "DatasetVersion"},
    "catalog": {"Capability", "Version", "ParsingRules"},
    "instances": {"Deployment", "Replica", "TrafficWeight", "Shadow", "Pin"},
    "gateway": {"Grant", "Call", "Retention", "Overload", "Usage", "Outcome"},
    "workbench": {
        "Workspace",
        "Environment",
        "Registration",
        "Recipe",
        "RecipeVersion",
        "RecipeRun",
        "Sweep",
        "Trial",
    },
    "store": {
        *("Plan", "Subscription", "SubscriptionKey", "Standing", "Review", "Follow", "Batch", "TrustedTeam"),
        *("Change", "Demand", "DemandNeed", "SiteCopy"),
    },
    "evaluation": {"Suite", "Run", "Report", "Claim"},
    "releases": {
        *(
            "Policy",
            "Release",
            "Signature",
            "Stage",
            "StageMinute",
            "Finding",
            "Bypass",
            "Replay",
            "ReplayedCall",
        ),
        "Rerun",
    },
    "experiments": {"Experiment", "Arm", "UnitHour"},
    "annotation": {
        "Project",
        "PullRule",
        "Task",
        "Golden",
        "Decision",
        "Annotation",
        "Transfer",
        "Retraining",
    },
}
"""Tables whose rows are seen, and changed where they may be, on pages of the portal."""

SECRET = {
    "body": "an answer may have held a secret",
    "text": "a letter may hold a link that lets somebody in",
    "html": "as its text",
    "private": "the data key",
    "session_key": "lets somebody in",
    "ticket_digest": "of what lets somebody in",
    "cookie_digest": "of what lets somebody in",
    "token": "lets somebody answer in a person's place",
}
"""Fields that nobody is shown, with the reason."""

MOST_ROWS = 10_000
COLUMNS = 7


class NewestRows(ModelPaginator):
    """The newest rows: counting the millions that some tables hold would take seconds."""

    @cached_property
    def count(self) -> int:
        return len(cast("models.QuerySet[models.Model]", self.object_list).values_list("pk")[:MOST_ROWS])


class LookingSite(admin.AdminSite):
    """The admin behind the portal's own door."""

    site_header = site_title = _("Atrium: rows behind the pages")
    index_title = _("Tables without a page of their own")
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        return is_platform_admin(request.user)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The portal's log-in, which counts failures; who is logged in is told why it is not enough."""
        if request.user.is_authenticated:
            require(may_administer(request.user))
        return redirect_to_login(request.GET.get("next", "/admin/"))

    def get_urls(self) -> list[Any]:
        """Without a page for passwords, which are changed in the profile."""
        return [entry for entry in super().get_urls() if "password_change" not in str(entry.pattern)]


class Rows(ModelAdmin):
    """A table to look at."""

    actions = None
    ordering = ("-pk",)
    list_per_page = 50
    paginator = NewestRows
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return is_platform_admin(request.user)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    has_delete_permission = has_change_permission

    def _shown(self) -> list[models.Field[Any, Any]]:
        return [field for field in self.opts.concrete_fields if field.name not in SECRET]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        long = (models.JSONField, models.TextField)
        return [field.name for field in self._shown() if not isinstance(field, long)][:COLUMNS]

    def get_list_select_related(self, request: HttpRequest) -> list[str]:
        shown = set(self.get_list_display(request))
        return [field.name for field in self._shown() if field.is_relation and field.name in shown]

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return [field.name for field in self._shown()]


def site() -> LookingSite:
    """The admin with every table of ours that has no page."""
    made = LookingSite()
    for model in apps.get_models():
        ours = apps.get_app_config(model._meta.app_label).name.startswith("apps.")
        if ours and model.__name__ not in HAVE_PAGES.get(model._meta.app_label, ()):
            made.register(model, Rows)
    return made
