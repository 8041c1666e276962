from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "apps.datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import events, menu, naming, search
        from apps.datasets import announcing, tasks  # noqa: F401  registers the tasks
        from apps.datasets.finding import find_datasets
        from apps.datasets.selectors import named_versions

        announcing.register()
        events.on("datasets.version_created", announcing.tell_of_version)

        search.register("datasets", find_datasets)
        naming.register("datasets.datasetversion", _("data set"), named_versions)
        people = frozenset({"developer", "qa", "annotator", "operator"})
        menu.register(
            menu.MenuItem(_("Develop"), _("Data sets"), "datasets:list", "database", people, order=30)
        )
