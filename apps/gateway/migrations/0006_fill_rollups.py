from django.db import migrations

PLACES = ", ".join(f"sum(histogram[{place}])::bigint" for place in range(1, 65))
FILL = f"""
INSERT INTO gateway_usageofcapability (capability_id, hour, deployment_id, outcome, version, count, histogram)
SELECT capability_id, hour, deployment_id, outcome, max(version), sum(count), ARRAY[{PLACES}]
FROM gateway_usage WHERE grant_id > 0 GROUP BY 1, 2, 3, 4;
INSERT INTO gateway_usageofkey (capability_id, day, grant_id, version, count, failed, last)
SELECT capability_id, date_trunc('day', hour, 'UTC'), grant_id, version, sum(count),
    coalesce(sum(count) FILTER (WHERE outcome <> ''), 0), max(hour)
FROM gateway_usage WHERE grant_id > 0 GROUP BY 1, 2, 3, 4;
"""  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [("gateway", "0005_rollups_of_capabilities_and_days")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
