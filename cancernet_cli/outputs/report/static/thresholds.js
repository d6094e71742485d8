// The threshold explorer: counts at each of 1,001 thresholds are in the page; everything else follows from them.
(() => {
  const data = DATA.widgets.thresholds;
  if (!data) return;
  const slider = byId("threshold");
  const radios = [...document.querySelectorAll('input[name="unit"]')];
  let own = data.own !== null; // the table's threshold is rarely one of the slider's

  const unit = () => data.counts[Number(radios.find((radio) => radio.checked).value)];
  const value = () => (own ? data.own : slider.value / 1000);

  function decisions() {
    const { tp, fp, positives, negatives, at_own: exact } = unit();
    const [hits, alarms] = own ? exact : [tp[slider.value], fp[slider.value]];
    return { tp: hits, fp: alarms, fn: positives - hits, tn: negatives - alarms };
  }

  function curve() {
    const { tp, fp, positives, negatives } = unit();
    const place = byId("threshold-plot");
    boxWidth = Math.min(Math.max(280, place.clientWidth), 620);
    const { svg, sx, sy, box } = axes({ height: 300, xTitle: "threshold", yTitle: "" });
    svg.setAttribute("viewBox", `0 0 ${boxWidth} 350`);
    const xs = tp.map((_, i) => i / 1000);
    const lines = [["sensitivity", tp.map((n) => n / positives), PALETTE[1]], ["specificity", fp.map((n) => 1 - n / negatives), PALETTE[0]]];
    for (const [, ys, color] of lines) svg.append(make("polyline", { points: points(xs, ys, sx, sy), fill: "none", stroke: color, "stroke-width": 2 }));
    svg.append(make("line", { class: "guide", id: "threshold-line", x1: sx(value()), x2: sx(value()), y1: box.top, y2: box.bottom }));
    legend(svg, lines.map(([name, , color]) => [name, color]), { left: box.left, y: 322 });
    place.replaceChildren(svg);
  }

  function show() {
    const { tp, fp, fn, tn } = decisions();
    const sensitivity = tp + fn ? tp / (tp + fn) : null, specificity = tn + fp ? tn / (tn + fp) : null;
    const figures = [
      ["sensitivity", share(tp, tp + fn)], ["specificity", share(tn, tn + fp)], ["PPV", share(tp, tp + fp)],
      ["NPV", share(tn, tn + fn)], ["accuracy", share(tp + tn, tp + fp + fn + tn)],
      ["balanced accuracy", sensitivity === null || specificity === null ? "–" : ((sensitivity + specificity) / 2).toFixed(3)],
    ];
    byId("threshold-value").textContent = value().toFixed(3);
    slider.setAttribute("aria-valuetext", value().toFixed(3));
    byId("threshold-figures").replaceChildren(...figures.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))));
    for (const [name, n] of Object.entries({ tp, fp, fn, tn })) byId(`m-${name}`).textContent = count(n);
    const x = byId("threshold-line");
    if (x) curve();
  }

  function reset() {
    own = data.own !== null;
    slider.value = Math.round((data.own ?? 0.5) * 1000);
    show();
  }
  slider.addEventListener("input", () => { own = false; show(); });
  for (const radio of radios) radio.addEventListener("change", () => { curve(); show(); });
  byId("threshold-reset").addEventListener("click", reset);
  slider.value = Math.round((data.own ?? 0.5) * 1000);
  curve();
  reset();
})();
