// Charts: Plotly's strict build is loaded when the first chart comes into view; colours follow the theme.
let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.plotly;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the chart library could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function themed(layout) {
  const axis = { gridcolor: css("--at-line"), linecolor: css("--at-line"), zerolinecolor: css("--at-line-strong"), automargin: true };
  const merged = {
    colorway: [css("--at-accent-ink"), css("--at-wait"), css("--at-busy"), css("--at-bad"), css("--at-good"), css("--at-idle")],
    margin: { l: 48, r: 12, t: 8, b: 40 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--tblr-font-sans-serif"), size: 12, color: css("--at-ink") },
  };
  delete merged.template;
  for (const name of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis/.test(key))])) {
    merged[name] = { ...axis, ...(layout[name] ?? {}) };
  }
  return merged;
}

/** Draw a figure `{data, layout}` into an element, in the colours of the theme. */
export async function draw(element, figure) {
  const library = await plotly();
  await library.react(element, figure.data, themed(figure.layout ?? {}), { displayModeBar: false, responsive: true });
}

function prepare(chart) {
  chart.dataset.ready = "";
  const plot = chart.querySelector(".chart-plot");
  const table = chart.querySelector(".chart-table");
  const show = () => draw(plot, JSON.parse(chart.querySelector("[data-figure]").textContent)).catch(() => swap(true));
  const toggle = chart.querySelector("[data-chart-toggle]");
  const swap = (asTable) => {
    table.hidden = !asTable;
    plot.hidden = asTable;
    toggle.setAttribute("aria-pressed", String(asTable));
  };
  toggle.addEventListener("click", () => swap(table.hidden));
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    show();
  }, { rootMargin: "200px" }).observe(plot);
  document.addEventListener("atrium:theme", () => plot.classList.contains("js-plotly-plot") && show());
}

/** Prepare every chart below an element that is not prepared yet. */
export function prepareCharts(root) {
  for (const chart of root.querySelectorAll("[data-chart]:not([data-ready])")) prepare(chart);
}
