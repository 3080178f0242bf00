"""Reads a metric's rows and a dashboard's results by classes that are generated from the server's documents."""

import os
import urllib.request

import api_client
import dashboard_client
import dashboard_models
import metric_client
import metric_models
from api_client.api.definitions import get_metric_definition
from dashboard_client.api.dashboards import get_dashboard_results_spare_parts
from metric_client.api.results import get_metric_alerts_by_type

URL = os.environ.get("METRICD_URL", "http://127.0.0.1:8080")


def fetch(path: str) -> bytes:
    with urllib.request.urlopen(URL + path) as response:
        return response.read()


definition = get_metric_definition.sync("alerts-by-type", client=api_client.Client(base_url=URL))
assert definition.contract.period.applied == "unsupported", definition.contract
assert "window" in definition.contract.period.reason, definition.contract
assert [column.name for column in definition.contract.columns] == ["alert_type", "alerts", "percent"]

result = get_metric_alerts_by_type.sync(client=metric_client.Client(base_url=URL), limit=2)
assert len(result.rows) == 2, result
for row in result.rows:
    print(row.alert_type, row.alerts, row.percent)

shown = get_dashboard_results_spare_parts.sync(client=dashboard_client.Client(base_url=URL))
assert shown.results, shown

same = metric_models.AlertsByTypeResult.model_validate_json(fetch("/metrics/alerts-by-type?limit=2"))
assert [row.alert_type for row in same.rows] == [row.alert_type for row in result.rows], same
assert dashboard_models.AlertsByTypeRow.model_fields.keys() == metric_models.AlertsByTypeRow.model_fields.keys()
