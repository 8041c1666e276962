"""What lists and searches read of a capability stays in its row; its card and the card's words lie beside the table.

With them in it a row is 1.5 to 3 kB, and a search that matches thousands reads a page of the table for nearly each.
"""

from django.db import migrations

KEPT = ("name", "slug", "domain", "summary", "tags", "headline")
"""Never moved out of the row as long as it fits a page."""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0007_words_of_the_headline")]

    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE catalog_capability SET (toast_tuple_target = 640)",
                *(f"ALTER TABLE catalog_capability ALTER COLUMN {name} SET STORAGE MAIN" for name in KEPT),
                # Writes the table anew, so that rows that are there are laid out like new ones.
                "ALTER TABLE catalog_capability ALTER COLUMN card TYPE text USING card || ''",
            ],
            [
                "ALTER TABLE catalog_capability RESET (toast_tuple_target)",
                *(f"ALTER TABLE catalog_capability ALTER COLUMN {name} SET STORAGE EXTENDED" for name in KEPT),
            ],
        )
    ]
