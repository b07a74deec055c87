"use strict";
const charts = [...document.querySelectorAll("figure[data-x]")].map(figure => ({
  x: JSON.parse(figure.dataset.x),
  y: JSON.parse(figure.dataset.y),
  low: +figure.dataset.low,
  high: +figure.dataset.high,
  unit: figure.dataset.unit,
  area: figure.querySelector(".area"),
  cross: figure.querySelector(".cross"),
  when: figure.querySelector(".when"),
  values: [...figure.querySelectorAll(".legend b")],
}));
for (const chart of charts) {
  chart.rest = [chart.when.textContent, ...chart.values.map(value => value.textContent)];
}
function nearest(x, epoch) {
  let best = 0;
  for (let i = 1; i < x.length; i++) {
    if (Math.abs(x[i] - epoch) < Math.abs(x[best] - epoch)) best = i;
  }
  return best;
}
function written(value, unit) {
  if (value === null) return "–";
  const size = Math.abs(value);
  if (unit === "%") return value.toFixed(size >= 10 ? 1 : 2) + " %";
  if (unit === "count" || size >= 1000) return String(value);
  if (size >= 1) return value.toPrecision(4);
  return size > 0 && size < 0.001 ? value.toExponential(2).replace("e+", "e") : value.toFixed(4);
}
function show(epoch) {
  for (const chart of charts) {
    const i = nearest(chart.x, epoch);
    const at = (chart.x[i] - chart.low) / (chart.high - chart.low);
    chart.cross.style.left = 100 * at + "%";
    chart.cross.style.display = "block";
    chart.when.textContent = "epoch " + chart.x[i];
    chart.values.forEach((b, k) => { b.textContent = written(chart.y[k][i], chart.unit); });
  }
}
function rest() {
  for (const chart of charts) {
    chart.cross.style.display = "none";
    [chart.when, ...chart.values].forEach((b, k) => { b.textContent = chart.rest[k]; });
  }
}
for (const chart of charts) {
  let at = chart.x.length - 1;
  chart.area.addEventListener("pointermove", event => {
    const box = chart.area.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    at = nearest(chart.x, chart.low + share * (chart.high - chart.low));
    show(chart.x[at]);
  });
  chart.area.addEventListener("pointerleave", rest);
  chart.area.addEventListener("blur", rest);
  chart.area.addEventListener("keydown", event => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    at = Math.min(chart.x.length - 1, Math.max(0, at + step));
    show(chart.x[at]);
  });
}
