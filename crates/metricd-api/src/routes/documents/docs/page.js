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

const form = document.getElementById("token");
const problem = document.getElementById("problem");
const input = document.getElementById("value");

// The token that a person has typed. It is kept here alone, and goes with the page.
let token = "";

function authorize(request) {
  const isOurs = new URL(request.url, window.location.href).origin === window.location.origin;
  if (token !== "" && isOurs && request.headers.Authorization === undefined) {
    request.headers.Authorization = `Bearer ${token}`;
  }
  return request;
}

async function show() {
  const request = authorize({ url, headers: { Accept: "application/json" } });
  const response = await fetch(request.url, { headers: request.headers });
  if (response.ok) {
    // A server that asks for tokens asks for one again when an operation is tried.
    const spec = await response.json();
    window.ui = SwaggerUIBundle({
      spec, dom_id: "#page", deepLinking: true, validatorUrl: null, requestInterceptor: authorize,
    });
    return;
  }
  const { detail } = await response.json().catch(() => ({ detail: `The server answers ${response.status}.` }));
  problem.textContent = detail;
  form.hidden = response.status !== 401 && response.status !== 403 && token === "";
  if (form.hidden) {
    document.getElementById("page").textContent = detail;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = input.value.trim();
  input.value = "";
  form.hidden = true;
  show();
});
show();
