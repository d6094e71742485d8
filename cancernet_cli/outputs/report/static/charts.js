// Charts as SVG, drawn from numbers. Each is as wide as its box and takes its colors from the theme.
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8a8a8a", "#7A5195"];
const colorOf = (name, place) => DATA.colors[name] ?? PALETTE[place % PALETTE.length];

let boxWidth = 480; // of the box that the chart being drawn fills, so that its text has the size of the page's

// Axes from x = left to right and y = bottom to top in data units; returns the svg and both scales.
function axes({ width = boxWidth, height = 360, x = [0, 1], y = [0, 1], xTitle, yTitle, xTicks, yTicks, left = 52, top = 10 }) {
  const box = { left, right: width - 14, top, bottom: height - 44 };
  const sx = (v) => box.left + ((v - x[0]) / (x[1] - x[0])) * (box.right - box.left);
  const sy = (v) => box.bottom - ((v - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
  for (const v of yTicks ?? [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(make("line", { class: "grid", x1: box.left, x2: box.right, y1: sy(v), y2: sy(v) }));
    svg.append(make("text", { x: box.left - 8, y: sy(v) + 4, "text-anchor": "end" }, String(v)));
  }
  for (const v of xTicks ?? [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(make("line", { class: "axis", x1: sx(v), x2: sx(v), y1: box.bottom, y2: box.bottom + 5 }));
    svg.append(make("text", { x: sx(v), y: box.bottom + 19, "text-anchor": "middle" }, String(v)));
  }
  svg.append(make("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  svg.append(make("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, xTitle));
  if (yTitle) {
    const middle = (box.top + box.bottom) / 2;
    svg.append(make("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, yTitle));
  }
  return { svg, sx, sy, box };
}

const points = (xs, ys, sx, sy) => xs.map((x, i) => `${sx(x).toFixed(1)},${sy(ys[i]).toFixed(1)}`).join(" ");

// Names with a swatch, one per line, below the plot.
function legend(svg, entries, { left, y }) {
  entries.forEach(([name, color], i) => {
    svg.append(make("rect", { x: left, y: y + i * 18 - 9, width: 14, height: 4, fill: color, rx: 2 }));
    svg.append(make("text", { class: "strong", x: left + 22, y: y + i * 18 - 3 }, name));
  });
}

function niceTicks(most, steps = 4) {
  const raw = Math.max(most, 1e-9) / steps, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw);
  const found = [];
  for (let v = 0; v < most + step * 0.999; v += step) found.push(Number(v.toPrecision(6)));
  return found;
}

const CHARTS = {
  roc({ series, threshold }) {
    const { svg, sx, sy, box } = axes({ height: 400, xTitle: "1 − specificity", yTitle: "sensitivity" });
    svg.setAttribute("viewBox", `0 0 ${boxWidth} ${414 + 18 * series.length}`);
    svg.append(make("line", { class: "guide", x1: sx(0), y1: sy(0), x2: sx(1), y2: sy(1) }));
    series.forEach((one, k) => {
      svg.append(make("polyline", { points: points(one.x, one.y, sx, sy), fill: "none", stroke: PALETTE[k % PALETTE.length], "stroke-width": 2.2, "stroke-linejoin": "round" }));
    });
    if (threshold) {
      svg.append(make("circle", { class: "mark", cx: sx(threshold.x), cy: sy(threshold.y), r: 5.5, stroke: PALETTE[0] }));
      svg.append(make("text", { class: "strong", x: sx(threshold.x) + 10, y: sy(threshold.y) + 16 }, `threshold ${threshold.value.toFixed(3)}`));
    }
    legend(svg, series.map((one, k) => [one.title, PALETTE[k % PALETTE.length]]), { left: box.left, y: 424 });
    return svg;
  },

  reliability({ bins, xTitle, yTitle }) {
    const { svg, sx, sy } = axes({ height: 400, xTitle, yTitle });
    svg.append(make("line", { class: "guide", x1: sx(0), y1: sy(0), x2: sx(1), y2: sy(1) }));
    for (const bin of bins) {
      svg.append(make("line", { x1: sx(bin.mean), x2: sx(bin.mean), y1: sy(bin.low), y2: sy(bin.high), stroke: PALETTE[0], "stroke-width": 2, opacity: 0.55 }));
    }
    svg.append(make("polyline", { points: points(bins.map((b) => b.mean), bins.map((b) => b.observed), sx, sy), fill: "none", stroke: PALETTE[0], "stroke-width": 2 }));
    for (const bin of bins) {
      const dot = make("circle", { class: "mark", cx: sx(bin.mean), cy: sy(bin.observed), r: 4.5, stroke: PALETTE[0] });
      dot.append(document.createElementNS("http://www.w3.org/2000/svg", "title"));
      dot.firstChild.textContent = `predicted ${bin.mean.toFixed(3)}, observed ${bin.observed.toFixed(3)} of ${count(bin.count)}`;
      svg.append(dot);
    }
    return svg;
  },

  histogram({ groups, thresholds, xTitle }) {
    const bins = groups[0].counts.length;
    const sums = Array.from({ length: bins }, (_, i) => groups.reduce((sum, group) => sum + group.counts[i], 0));
    const ticks = niceTicks(Math.max(...sums)), most = ticks[ticks.length - 1];
    const height = 290 + 18 * groups.length;
    const { svg, sx, sy, box } = axes({ height: 280, y: [0, most], yTicks: ticks, xTitle, yTitle: "files", left: 64 });
    svg.setAttribute("viewBox", `0 0 ${boxWidth} ${height}`);
    const base = new Array(bins).fill(0);
    groups.forEach((group, k) => {
      const color = colorOf(group.name, k);
      group.counts.forEach((n, i) => {
        if (!n) return;
        const x = sx(i / bins), width = sx((i + 1) / bins) - x;
        svg.append(make("rect", { x: x + 0.6, width: Math.max(1, width - 1.2), y: sy(base[i] + n), height: sy(base[i]) - sy(base[i] + n), fill: color }));
        base[i] += n;
      });
    });
    for (const threshold of thresholds) {
      svg.append(make("line", { class: "guide", x1: sx(threshold), x2: sx(threshold), y1: box.top, y2: box.bottom }));
      svg.append(make("text", { class: "strong", x: sx(threshold) + (threshold > 0.75 ? -5 : 5), y: box.top + 10, "text-anchor": threshold > 0.75 ? "end" : "start" }, `threshold ${threshold.toFixed(3)}`));
    }
    legend(svg, groups.map((group, k) => [group.title, colorOf(group.name, k)]), { left: box.left, y: 302 });
    return svg;
  },

  forest({ rows, reference, measure }) {
    const values = rows.flatMap((row) => [row.value, row.low ?? row.value, row.high ?? row.value]).concat(reference ?? []);
    let low = Math.min(...values), high = Math.max(...values);
    const pad = Math.max(0.02, (high - low) * 0.08);
    [low, high] = [low - pad, high + pad];
    const step = niceTicks(high - low, 6)[1], ticks = [];
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) ticks.push(Number(v.toFixed(4)));
    const height = 54 + rows.length * 30;
    const { svg, sx, box } = axes({ height, x: [low, high], xTicks: ticks, yTicks: [], xTitle: measure, left: Math.min(200, boxWidth * 0.42) });
    if (reference !== undefined && reference !== null) svg.append(make("line", { class: "guide", x1: sx(reference), x2: sx(reference), y1: box.top, y2: box.bottom }));
    rows.forEach((row, i) => {
      const y = box.top + 15 + i * 30, color = row.leaking ? PALETTE[1] : PALETTE[0];
      svg.append(make("text", { class: "strong", x: box.left - 12, y: y + 4, "text-anchor": "end" }, row.name.length > 30 ? `${row.name.slice(0, 29)}…` : row.name));
      if (row.low !== null && row.high !== null) svg.append(make("line", { x1: sx(row.low), x2: sx(row.high), y1: y, y2: y, stroke: color, "stroke-width": 2.5 }));
      svg.append(make("circle", { cx: sx(row.value), cy: y, r: 5, stroke: color, "stroke-width": 2.5, ...(row.leaking ? { class: "mark" } : { fill: color }) }));
    });
    return svg;
  },

  confusion({ classes, counts }) {
    const n = classes.length, cell = n > 4 ? 64 : 92, left = 120, top = 34;
    const width = left + n * cell + 10, height = top + n * cell + 12;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false", style: `max-width:${width * 1.3}px` });
    const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
    classes.forEach((name, k) => {
      svg.append(make("text", { x: left + (k + 0.5) * cell, y: top - 10, "text-anchor": "middle" }, short(name)));
      svg.append(make("text", { class: "strong", x: left - 10, y: top + (k + 0.5) * cell + 4, "text-anchor": "end" }, short(name)));
    });
    counts.forEach((row, i) => {
      const whole = row.reduce((sum, value) => sum + value, 0);
      row.forEach((value, k) => {
        const part = whole ? value / whole : 0;
        svg.append(make("rect", { x: left + k * cell + 1.5, y: top + i * cell + 1.5, width: cell - 3, height: cell - 3, rx: 6, fill: i === k ? PALETTE[0] : PALETTE[1], opacity: 0.08 + 0.5 * part }));
        svg.append(make("text", { class: "strong", x: left + (k + 0.5) * cell, y: top + (i + 0.5) * cell, "text-anchor": "middle", "font-size": 16, "font-weight": 600 }, count(value)));
        svg.append(make("text", { class: "strong", x: left + (k + 0.5) * cell, y: top + (i + 0.5) * cell + 17, "text-anchor": "middle" }, whole ? `${(100 * part).toFixed(0)} %` : ""));
      });
    });
    return svg;
  },

  history({ series, yTitle, most }) {
    const epochs = Math.max(...series.flatMap((one) => one.epochs));
    const ticks = niceTicks(most ?? Math.max(...series.flatMap((one) => one.values)));
    const { svg, sx, sy, box } = axes({ height: 300, x: [1, Math.max(2, epochs)], xTicks: niceTicks(epochs).filter((v) => v >= 1 && v <= epochs && Number.isInteger(v)), y: [0, most ?? ticks[ticks.length - 1]], yTicks: ticks.filter((v) => most === undefined || v <= most), xTitle: "epoch", yTitle });
    svg.setAttribute("viewBox", `0 0 ${boxWidth} ${314 + 18 * series.length}`);
    series.forEach((one, k) => {
      const color = PALETTE[one.color ?? k % PALETTE.length];
      svg.append(make("polyline", { points: points(one.epochs, one.values, sx, sy), fill: "none", stroke: color, "stroke-width": 2, "stroke-dasharray": one.dashed ? "5 4" : null }));
    });
    legend(svg, series.map((one, k) => [one.name, PALETTE[one.color ?? k % PALETTE.length]]), { left: box.left, y: 322 });
    return svg;
  },
};

for (const place of document.querySelectorAll("[data-chart]")) {
  const chart = DATA.charts[place.dataset.chart];
  boxWidth = Math.min(Math.max(280, place.clientWidth), 620);
  place.append(CHARTS[chart.draw](chart));
}
