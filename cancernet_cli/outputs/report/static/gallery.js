// The gallery: filter, sort, cards, and the viewer.
(() => {
  const data = DATA.widgets.gallery;
  if (!data) return;
  const rows = data.rows.map((values) => Object.fromEntries(data.names.map((name, i) => [name, values[i]])));
  const STEP = 48;
  const LAYERS = { image: "image", overlay: "overlay", explain: "explanation", heatmap: "heat map" };
  const key = data.positive ? ` Bars: probability of ${data.positive}; the mark is the threshold.` : "";
  let found = [], drawn = 0, open = -1;

  const isUnsure = (row) => row.label === "unsure";
  const outcome = (row) => (row.status === "failed" || row.truth === null ? "" : isUnsure(row) ? "unsure" : row.label === row.truth ? "right" : "wrong");
  const doubt = (row) => {
    if (!row.probs) return null;
    if (row.threshold !== null && data.positive) return Math.abs(row.probs[1] - row.threshold);
    const sorted = [...row.probs].sort((a, b) => b - a);
    return sorted[0] - sorted[1];
  };
  const error = (row) => (row.probs && row.truth !== null && data.classes.includes(row.truth) ? 1 - row.probs[data.classes.indexOf(row.truth)] : null);
  const shownClass = (row) => {
    if (data.classes.includes(row.label)) return data.classes.indexOf(row.label);
    return row.probs ? row.probs.indexOf(Math.max(...row.probs)) : -1;
  };
  const main = (row) => (row.probs ? (data.positive ? row.probs[1] : Math.max(...row.probs)) : null);
  const percent = (p) => (p > 0.9995 && p < 1 ? ">99.9 %" : p < 0.0005 && p > 0 ? "<0.1 %" : `${(100 * p).toFixed(1)} %`);
  const flags = (row) => (row.flags ? row.flags.split(",") : []);
  const colorOfRow = (row) => (isUnsure(row) ? "#8a8f99" : DATA.colors[row.label] ?? "#8a8f99");

  // ---- filters ----
  function fill(id, values, text = (v) => v) {
    const select = byId(id);
    for (const value of values) select.append(make("option", { value: String(value) }, String(text(value))));
    if (!values.length) select.closest("label").hidden = true;
  }
  const distinct = (get) => [...new Set(rows.flatMap(get).filter((v) => v !== null && v !== ""))];
  fill("f-label", distinct((row) => row.label).sort());
  fill("f-truth", distinct((row) => row.truth).sort());
  fill("f-status", distinct((row) => row.status).sort());
  fill("f-flag", distinct(flags).sort(), (flag) => flag.replaceAll("_", " "));
  fill("f-patient", distinct((row) => row.patient).sort());
  fill("f-magnification", distinct((row) => row.magnification).sort((a, b) => a - b), (v) => `${v}x`);
  fill("f-why", Object.keys(data.reasons), (why) => data.reasons[why]);
  if (!rows.some((row) => row.truth !== null)) byId("f-result").closest("label").hidden = true;
  const layers = distinct((row) => row.layers);
  fill("layer", layers, (layer) => LAYERS[layer] ?? layer);
  if (layers.length < 2) byId("layer").closest("label").hidden = true;
  if (layers.includes("heatmap") && layers.length > 1) byId("layer").value = layers.find((layer) => layer !== "heatmap");
  if (!rows.some((row) => row.contours.length)) byId("contours").closest("label").hidden = true;

  const SORTS = {
    rank: (row) => (row.layers.length ? 0 : 1e9) + row.rank, path: (row) => row.number, high: (row) => negative(main(row)), low: main, doubt, error: (row) => negative(error(row)),
    novelty: (row) => negative(row.novelty), patient: (row) => row.patient, label: (row) => row.label,
    flags: (row) => -flags(row).length, status: (row) => ["failed", "partial", "ok"].indexOf(row.status),
  };
  const negative = (v) => (v === null ? null : -v);

  function matches(row) {
    const value = (id) => byId(id).value;
    const text = value("f-text").trim().toLowerCase();
    if (text && !`${row.path}\n${row.patient ?? ""}`.toLowerCase().includes(text)) return false;
    for (const name of ["label", "truth", "status", "patient", "magnification"]) {
      if (value(`f-${name}`) && String(row[name]) !== value(`f-${name}`)) return false;
    }
    if (value("f-result") && outcome(row) !== value("f-result")) return false;
    const flag = value("f-flag");
    if (flag === "*" ? !row.flags : flag === "-" ? row.flags : flag && !flags(row).includes(flag)) return false;
    if (value("f-why") && !row.why.includes(value("f-why"))) return false;
    if (byId("with-picture").checked && !row.layers.length) return false;
    const p = main(row);
    if (value("f-low") !== "" && (p === null || p < Number(value("f-low")))) return false;
    return !(value("f-high") !== "" && (p === null || p > Number(value("f-high"))));
  }

  function update() {
    const by = SORTS[byId("sort").value];
    found = rows.filter(matches).map((row) => [by(row), row]);
    found.sort(([a, one], [b, other]) => {
      if (a === b) return one.number - other.number;
      if (a === null || a === undefined) return 1;
      if (b === null || b === undefined) return -1;
      return a < b ? -1 : 1;
    });
    found = found.map(([, row]) => row);
    drawn = 0;
    byId("cards").replaceChildren();
    more();
  }

  // ---- cards ----
  function contours(row) {
    const lines = row.contours.map((line) => {
      const pairs = [];
      for (let i = 0; i < line.length; i += 2) pairs.push(`${line[i]},${line[i + 1]}`);
      return make("polygon", { class: "contour", points: pairs.join(" ") });
    });
    const [width, height] = row.box; // "slice" crops it just as "object-fit: cover" crops the picture
    return make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, ...lines);
  }

  function words(row) {
    const label = row.status === "failed" ? "failed" : isUnsure(row) ? `unsure, ${data.classes[shownClass(row)]}` : row.label;
    const p = row.probs ? percent(row.probs[shownClass(row)]) : "";
    const truth = { right: "correct", wrong: `wrong: ${row.truth}`, unsure: `truth: ${row.truth}`, "": "" }[outcome(row)];
    return { label, p, truth };
  }

  function picture(row) {
    const layer = row.layers.includes(byId("layer").value) ? byId("layer").value : row.layers[0];
    if (!layer) {
      const why = row.status === "failed" ? row.error || "no prediction" : row.missing || "no picture in this report";
      return [make("span", { class: "none" }, why)];
    }
    const { label, p, truth } = words(row);
    const image = make("img", {
      src: PICTURES(`${row.number}/${layer}`), decoding: "async",
      alt: `${LAYERS[layer] ?? layer} of ${row.path}: ${label} ${p}${truth ? `, ${truth}` : ""}`,
    });
    return layer === "image" && byId("contours").checked && row.contours.length ? [image, contours(row)] : [image];
  }

  function bar(row) {
    const p = main(row);
    if (p === null) return null;
    const element = make("span", { class: "bar", "aria-hidden": "true" }, make("i"));
    element.firstChild.style.width = `${100 * p}%`;
    element.style.setProperty("--dot", colorOfRow(row));
    if (data.positive && row.threshold !== null) {
      const mark = make("b");
      mark.style.left = `calc(${100 * row.threshold}% - 1px)`;
      element.append(mark);
    }
    return element;
  }

  function card(row, place) {
    const { label, p, truth } = words(row);
    const dot = make("span", { class: "dot", "aria-hidden": "true" });
    dot.style.setProperty("--dot", colorOfRow(row));
    const tags = flags(row).map((flag) => make("span", { class: "tag" }, flag.replaceAll("_", " ")));
    if (truth) tags.unshift(make("span", { class: `tag ${outcome(row)}` }, truth));
    if (row.kind === "slide") tags.push(make("span", { class: "tag" }, "slide"));
    const button = make("button", { type: "button", class: "card", "data-place": place },
      make("span", { class: "frame" }, ...picture(row)),
      make("span", { class: "text" },
        make("span", { class: "verdict" }, make("span", {}, dot, label), make("span", {}, p)),
        bar(row),
        make("span", { class: "name", title: row.path }, row.path.split("/").pop()),
        make("span", { class: "tags" }, ...tags)));
    return make("li", {}, button);
  }

  function more() {
    const next = found.slice(drawn, drawn + STEP);
    byId("cards").append(...next.map((row, i) => card(row, drawn + i)));
    drawn += next.length;
    byId("more").hidden = drawn >= found.length;
    byId("more").textContent = `Show more (${count(found.length - drawn)} left)`;
    byId("shown").textContent = `${count(found.length)} of the ${count(rows.length)} rows in this report match; ${count(drawn)} are shown.${key}`;
  }

  // ---- viewer ----
  const viewer = byId("viewer");
  function facts(row) {
    const entries = [["path", row.path], ["status", row.status]];
    if (row.error) entries.push(["error", row.error]);
    if (row.label !== null) entries.push(["label", row.label]);
    if (row.probs) data.classes.forEach((name, k) => entries.push([`P(${name})`, row.probs[k].toFixed(4)]));
    if (row.threshold !== null) entries.push(["threshold", row.threshold.toFixed(4)]);
    if (row.truth !== null) entries.push(["true label", row.truth]);
    for (const [name, title] of [["patient", "patient"], ["slide", "slide"], ["magnification", "magnification"], ["novelty", "novelty"], ["size", "size"], ["tiles", "tiles"], ["mask_fraction", "mask fraction"], ["mpp", "µm per pixel"]]) {
      if (row[name] !== null && row[name] !== undefined) entries.push([title, typeof row[name] === "number" && !Number.isInteger(row[name]) ? row[name].toPrecision(4) : String(row[name])]);
    }
    if (row.flags) entries.push(["flags", flags(row).join(", ").replaceAll("_", " ")]);
    if (row.seen) entries.push(["training image", "yes: the model has learned from it"]);
    if (row.why.length) entries.push(["chosen as", row.why.map((why) => data.reasons[why]).join("; ")]);
    return entries.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  }

  function show(place) {
    if (place < 0 || place >= found.length) return;
    while (place >= drawn) more();
    open = place;
    const row = found[place];
    byId("viewer-title").textContent = row.path.split("/").pop();
    const pictures = row.kind === "slide" ? row.layers.map((layer) => make("img", { src: PICTURES(`${row.number}/${layer}`), alt: `${LAYERS[layer] ?? layer} of ${row.path}` })) : picture(row);
    byId("viewer-picture").replaceChildren(...pictures);
    byId("viewer-facts").replaceChildren(...facts(row));
    byId("viewer-tiles").replaceChildren(...row.parts.map((part, i) => make("figure", {},
      make("img", { src: PICTURES(`${row.number}/tile${i}`), alt: `tile with probability ${part.p.toFixed(3)}, ${part.why}` }),
      make("figcaption", {}, `${part.why}: ${part.p.toFixed(3)}`))));
    byId("viewer-place").textContent = `${count(place + 1)} of ${count(found.length)}`;
    byId("viewer-back").disabled = place === 0;
    byId("viewer-next").disabled = place === found.length - 1;
    if (!viewer.open) viewer.showModal();
  }

  function focusCard(place) {
    while (place >= drawn && drawn < found.length) more();
    byId("cards").querySelector(`[data-place="${place}"]`)?.focus();
  }

  function columns() {
    return getComputedStyle(byId("cards")).gridTemplateColumns.split(" ").length;
  }

  byId("cards").addEventListener("click", (event) => {
    const target = event.target.closest("[data-place]");
    if (target) show(Number(target.dataset.place));
  });
  byId("cards").addEventListener("keydown", (event) => {
    const target = event.target.closest("[data-place]");
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() };
    if (!target || !(event.key in steps)) return;
    event.preventDefault();
    focusCard(Math.min(Math.max(0, Number(target.dataset.place) + steps[event.key]), found.length - 1));
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(open + 1);
    if (event.key === "ArrowLeft") show(open - 1);
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => focusCard(open));
  byId("viewer-close").addEventListener("click", () => viewer.close());
  byId("viewer-back").addEventListener("click", () => show(open - 1));
  byId("viewer-next").addEventListener("click", () => show(open + 1));
  byId("more").addEventListener("click", () => { const place = drawn; more(); focusCard(place); });
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("input", update);
  update();
})();
