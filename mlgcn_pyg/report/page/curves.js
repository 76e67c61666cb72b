// Curves, drawn by Plotly. Colours of axes and texts are set in report.css, so that they follow the theme and the printer.

const PLOT = { displayModeBar: false, responsive: true, showTips: false };
const BASE = {
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: "system-ui, sans-serif", size: 12 },
  margin: { l: 52, r: 12, t: 10, b: 44 },
  showlegend: false,
  dragmode: false,
  hovermode: "closest",
  hoverlabel: { bgcolor: "#1b2733", bordercolor: "#8494a2", font: { color: "#ffffff", size: 12 } },
};

function startPlots(values) {
  if (values.curves) startCurves(values);
  for (const place of document.querySelectorAll("[data-training]")) drawTraining(place, values);
  for (const place of document.querySelectorAll("[data-points]")) drawPoints(place, values);
}

function headColour(head) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--head${head % 6}`).trim();
}

/** Returns text that Plotly shows as it is: it reads some HTML elements. */
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function axis(title, options = {}) {
  return { title: { text: title, standoff: 8 }, zeroline: false, fixedrange: true, automargin: true, ...options };
}

function startCurves(values) {
  const data = readCurves(values);
  const chooser = byId("curve-label");
  const show = () => showLabel(values, data, Number(chooser.value));
  chooser.addEventListener("change", show);
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      const count = chooser.options.length;
      chooser.selectedIndex = (chooser.selectedIndex + Number(button.dataset.step) + count) % count;
      show();
    });
  }
  show();
}

function readCurves(values) {
  const { curves, reliability } = values;
  return {
    start: unpacked(curves.start, "u4"),
    recall: unpacked(curves.recall, "u2"),
    precision: unpacked(curves.precision, "u2"),
    atCut: unpacked(curves.at_cut, "u2"),
    mean: unpacked(reliability.mean, "u2"),
    share: unpacked(reliability.share, "u2"),
    count: unpacked(reliability.count, "u4"),
    error: unpacked(reliability.error, "u2"),
  };
}

/** Draws both plots of a label; 0 is all labels together. */
function showLabel(values, data, label) {
  byId("curve-summary").textContent = summaryOf(values, data, label);
  const unit = { range: [-0.01, 1.02], dtick: 0.2 };
  const precision = { ...BASE, xaxis: axis("recall", unit), yaxis: axis("precision", unit), annotations: [] };
  if (label && !values.positives[label - 1]) {
    precision.annotations.push({ text: "no positive image", x: 0.5, y: 0.5, showarrow: false });
  }
  Plotly.react("curve-precision", precisionTraces(values, data, label), precision, PLOT);
  const reliability = { ...BASE, xaxis: axis("P as predicted", unit), yaxis: axis("share that is right", unit) };
  Plotly.react("curve-reliability", reliabilityTraces(values, data, label), reliability, PLOT);
}

function summaryOf(values, data, label) {
  const parts = values.heads.map((head, place) => {
    const ap = label ? values.AP[place][label - 1] : values.mAP[place];
    const series = values.reliability.series.findIndex((found) => found.head === place && !found.calibrated);
    const error = fraction(data.error[series * (values.labels.length + 1) + label]);
    const name = label ? "AP" : "mAP";
    return `${head}: ${name} ${percentText(ap)}, ECE ${percentText(error)}`;
  });
  const positives = label ? `${counted(values.positives[label - 1], "positive")}. ` : "";
  return `${positives}${parts.join("; ")} (in per cent).`;
}

function percentText(value) {
  return value === null || Number.isNaN(value) ? "–" : (100 * value).toFixed(1);
}

function precisionTraces(values, data, label) {
  const columns = values.labels.length + 1;
  return values.heads.flatMap((head, place) => {
    const curve = place * columns + label;
    const [from, to] = [data.start[curve], data.start[curve + 1]];
    const x = [...data.recall.subarray(from, to)].map(fraction);
    const y = [...data.precision.subarray(from, to)].map(fraction);
    const cut = [fraction(data.atCut[2 * curve]), fraction(data.atCut[2 * curve + 1])];
    const style = { color: headColour(place) };
    const shape = x.length > 60 ? "linear" : "vh"; // many small steps are as wide as the line
    const text = "precision %{y:.2f} at recall %{x:.2f}<extra>" + plain(head) + "</extra>";
    return [
      // the precision at a recall holds from the recall before it
      { x: [0, ...x], y: [y[0], ...y], mode: "lines", line: { ...style, width: 1.8, shape }, hovertemplate: text },
      { x: [cut[0]], y: [cut[1]], mode: "markers", marker: { ...style, size: 9 }, cliponaxis: false, hovertemplate: text },
    ];
  });
}

function reliabilityTraces(values, data, label) {
  const { series, bins } = values.reliability;
  const columns = values.labels.length + 1;
  const most = Math.max(1, ...series.map((_, place) => largest(data.count, (place * columns + label) * bins, bins)));
  const traces = series.map(({ head, calibrated }, place) => {
    const start = (place * columns + label) * bins;
    const used = [...Array(bins).keys()].map((bin) => start + bin).filter((bin) => data.count[bin]);
    const counts = used.map((bin) => data.count[bin]);
    const name = plain(values.heads[head]) + (calibrated ? ", calibrated" : "");
    return {
      x: used.map((bin) => fraction(data.mean[bin])),
      y: used.map((bin) => fraction(data.share[bin])),
      customdata: counts,
      mode: "lines+markers",
      line: { color: headColour(head), width: 1.4, dash: calibrated ? "dot" : "solid" },
      cliponaxis: false,
      marker: { size: counts.map((count) => 4 + 10 * Math.sqrt(count / most)), opacity: 0.9, line: { width: 0 } },
      hovertemplate: `%{y:.2f} right at P %{x:.2f}, %{customdata:,} predictions<extra>${name}</extra>`,
    };
  });
  const diagonal = { x: [0, 1], y: [0, 1], mode: "lines", line: { color: "#8b98a3", width: 1, dash: "dash" }, hoverinfo: "skip" };
  return [diagonal, ...traces];
}

function largest(counts, start, bins) {
  return Math.max(...counts.subarray(start, start + bins));
}

function drawTraining(place, values) {
  const kind = place.dataset.training;
  const traces = values.training.filter((found) => found.kind === kind).map((found) => ({
    x: found.x,
    y: found.y,
    mode: found.x.length > 30 ? "lines" : "lines+markers",
    line: { color: headColour(found.head), width: 1.8 },
    marker: { size: 5 },
    hovertemplate: `%{y:.4g} in epoch %{x}<extra>${plain(values.heads[found.head])}</extra>`,
  }));
  const title = kind === "mAP" ? "mAP (%)" : "training loss";
  Plotly.react(place, traces, { ...BASE, xaxis: axis("epoch"), yaxis: axis(title) }, PLOT);
}

function drawPoints(place, values) {
  const points = values.points[Number(place.dataset.points)];
  const trace = {
    x: points.map((point) => point[0]),
    y: points.map((point) => point[1]),
    text: values.labels.map(plain),
    mode: points.length > 100 ? "markers" : "markers+text",
    textposition: "top center",
    marker: { size: 6, color: headColour(0) },
    hovertemplate: "%{text}<extra></extra>",
  };
  const bare = { visible: false, fixedrange: true };
  Plotly.react(place, [trace], { ...BASE, xaxis: bare, yaxis: bare, margin: { l: 8, r: 8, t: 8, b: 8 } }, PLOT);
}
