// Reads a metric's rows and a dashboard's results by types that openapi-typescript has made of the server's documents.
import createClient from "openapi-fetch";
import type { paths as ApiPaths } from "./api.js";
import type { paths as DashboardPaths } from "./dashboard.js";
import type { paths as MetricPaths } from "./metric.js";

type Json = "application/json" | "application/problem+json";
const options = { baseUrl: process.env.METRICD_URL ?? "http://127.0.0.1:8080" };

const metric = createClient<MetricPaths, Json>(options);
const { data: alerts, error } = await metric.GET("/metrics/alerts-by-type", { params: { query: { limit: 2 } } });
if (alerts === undefined) {
  throw new Error(`${error.code}: ${error.detail}`);
}
for (const row of alerts.rows) {
  const alertType: string | null = row.alert_type;
  const count: number | null = row.alerts;
  console.log(alertType, count, row.percent);
}
// @ts-expect-error: the metric has no such column.
void alerts.rows[0]?.severity;
// @ts-expect-error: the metric has no such parameter.
void metric.GET("/metrics/alerts-by-type", { params: { query: { severity: "high" } } });

const dashboard = createClient<DashboardPaths, Json>(options);
const { data: shown } = await dashboard.GET("/dashboards/spare-parts/results");
for (const entry of shown?.results ?? []) {
  if (entry.metric_id === "cost-avoided-daily" && "result" in entry) {
    const day: string | null | undefined = entry.result.rows[0]?.day;
    console.log(entry.metric_id, day);
  }
}

const api = createClient<ApiPaths, Json>(options);
const { error: conflict } = await api.PATCH("/metrics/{metric_id}", {
  params: { path: { metric_id: "alerts-by-type" }, header: { "If-Match": '"0"' } },
  body: { title: "Mine" },
});
if (conflict?.code !== "version-mismatch") {
  throw new Error(`expected a conflict, not ${conflict?.code}`);
}
console.log(conflict.title);
