from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ComputeConfig(AppConfig):
    name = "apps.compute"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.compute import tasks  # noqa: F401  registers the tasks
        from apps.compute.finding import find_jobs
        from apps.compute.selectors import jobs_visible_to
        from apps.core import menu, naming, search, statuses

        people = frozenset({"developer", "operator", "qa"})
        admins = frozenset({"admin"})
        menu.register(menu.MenuItem(_("Develop"), _("Jobs"), "jobs:list", "player-play", people, order=40))
        menu.register(
            menu.MenuItem(
                _("Administration"), _("Sandbox and machine"), "jobs:machine", "server", admins, order=950
            )
        )
        menu.register(
            menu.MenuItem(
                _("Administration"), _("Sandbox network"), "jobs:network", "world", admins, order=951
            )
        )
        menu.register(
            menu.MenuItem(
                _("Operations"), _("Nodes"), "jobs:nodes", "server-2", admins | {"operator"}, order=330
            )
        )
        statuses.register("good", "circle-check", "allowed")
        statuses.register("wait", "player-pause", "drained")
        statuses.register("bad", "circle-x", "silent")
        search.register("jobs", find_jobs)
        naming.register_rows("compute.job", _("job"), jobs_visible_to, "jobs:detail")
