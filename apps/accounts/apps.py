from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.accounts import tasks  # noqa: F401  registers the daily verification
        from apps.accounts.finding import find_teams
        from apps.accounts.selectors import people_named
        from apps.core import menu, naming, search

        admins = frozenset({"admin"})
        section = _("Administration")
        menu.register(
            menu.MenuItem(section, _("Overview"), "accounts:administration", "settings", admins, order=900)
        )
        menu.register(menu.MenuItem(section, _("People"), "accounts:people", "users", admins, order=910))
        menu.register(
            menu.MenuItem(section, _("Invitations"), "accounts:invitations", "mail-plus", admins, order=915)
        )
        menu.register(
            menu.MenuItem(_("Organisation"), _("Teams"), "accounts:teams", "users-group", order=800)
        )
        menu.register(menu.MenuItem(_("Organisation"), _("Sites"), "accounts:sites", "building", order=810))
        menu.register(
            menu.MenuItem(section, _("Audit log"), "accounts:audit", "list-check", admins, order=990)
        )
        naming.register("accounts.user", _("person"), people_named)
        menu.register_landing("admin", "accounts:administration")
        search.register("teams", find_teams)
