from django.contrib.postgres.search import SearchVector
from django.db import migrations
from django.db.models import Value

from apps.catalog.words import signature_words
from apps.core.search import lexemes


def index_anew(apps, schema_editor):
    """What was packaged before is found by its signature too."""
    Capability = apps.get_model("catalog", "Capability")
    Version = apps.get_model("catalog", "Version")
    packaged = Version.objects.filter(status="packaged").order_by("capability_id", "-packaged_at", "-pk")
    newest = packaged.distinct("capability_id").values_list("capability_id", "signature")
    for capability, signature in newest.iterator(chunk_size=500):
        row = Capability.objects.defer("text").get(pk=capability)
        parts = (
            (f"{row.name} {row.slug} {' '.join(row.tags)}", "A"),
            (f"{row.summary} {row.domain}", "B"),
            (" ".join(signature_words(signature)), "C"),
            (row.card[:50_000], "D"),
        )
        first, *others = (
            SearchVector(Value(" ".join(lexemes(text))), config="simple", weight=weight)
            for text, weight in parts
        )
        Capability.objects.filter(pk=capability).update(text=sum(others, first))


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_newest_first")]

    operations = [migrations.RunPython(index_anew, migrations.RunPython.noop, elidable=True)]
