from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InstancesConfig(AppConfig):
    name = "apps.instances"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.catalog import uses
        from apps.core import menu
        from apps.instances import tasks  # noqa: F401  registers the tasks
        from apps.instances.selectors import uses_of_version

        uses.register(uses_of_version)
        people = frozenset({"developer", "qa", "operator"})
        menu.register(
            menu.MenuItem(_("Operations"), _("Deployments"), "instances:list", "server", people, order=300)
        )
        menu.register_landing("operator", "instances:list")
