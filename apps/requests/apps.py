from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RequestsConfig(AppConfig):
    name = "apps.requests"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import menu, schema, search
        from apps.requests import roles, tasks, webhooks  # noqa: F401  registers the reconciler
        from apps.requests.finding import find_requests

        menu.register(menu.MenuItem("", _("Start"), "home", "home", order=1))
        menu.register(menu.MenuItem("", _("Requests"), "requests:inbox", "inbox", order=5))
        menu.register(menu.MenuItem(_("Store"), _("Webhooks"), "requests:webhooks", "webhook", order=30))
        search.register("requests", find_requests)
        schema.register("webhooks", webhooks.described)
        roles.register()
