from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "apps.gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.catalog import examples
        from apps.core import events, menu
        from apps.gateway import overloads, selectors, tasks
        from apps.gateway.services import announce, announce_capability
        from apps.gateway.testkeys import make_test_key
        from apps.instances import alerts, routes, testkeys

        routes.on_change(announce_capability)
        testkeys.register(make_test_key)
        alerts.register(overloads.alerts_of)
        examples.register(selectors.examples)
        events.on("catalog.version_packaged", lambda _key, _facts: tasks.renew_keys())
        events.on("accounts.team_moved", lambda _key, _facts: announce())
        people = frozenset({"developer", "qa", "operator"})
        menu.register(menu.MenuItem(_("Operations"), _("Calls"), "calls:list", "activity", people, order=320))
