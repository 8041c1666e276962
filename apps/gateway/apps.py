from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "apps.gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import menu
        from apps.gateway.services import announce
        from apps.gateway.testkeys import make_test_key
        from apps.instances import routes, testkeys

        routes.on_change(announce)
        testkeys.register(make_test_key)
        people = frozenset({"developer", "qa", "operator"})
        menu.register(menu.MenuItem(_("Operations"), _("Calls"), "calls:list", "activity", people, order=320))
