import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0006_found_by_name_and_what_is_shown")]

    operations = [
        migrations.AddField(
            model_name="capability",
            name="headline",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(
                    "text", function="ts_filter", template="%(function)s(%(expressions)s, '{a,b,c}')"
                ),
                output_field=django.contrib.postgres.search.SearchVectorField(null=True),
            ),
        ),
        migrations.AddIndex(
            model_name="capability",
            index=django.contrib.postgres.indexes.GinIndex(fields=["headline"], name="capability_headline"),
        ),
    ]
