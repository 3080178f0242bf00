// Shows the document of the API, or of the metric or dashboard that the page's address names.
const named = new URLSearchParams(window.location.search);
const metricId = named.get("metric_id");
const dashboardId = named.get("dashboard_id");
let url = "/openapi.json";
if (metricId !== null) {
  url = `/metrics/${encodeURIComponent(metricId)}/openapi.json`;
} else if (dashboardId !== null) {
  url = `/dashboards/${encodeURIComponent(dashboardId)}/openapi.json`;
}
window.ui = SwaggerUIBundle({ url, dom_id: "#page", deepLinking: true, validatorUrl: null });
