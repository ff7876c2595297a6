"use strict";
(() => {
  const root = document.documentElement;
  const every = (selector, within = document) => [...within.querySelectorAll(selector)];
  every(".nojs").forEach((node) => { node.hidden = true; });

  // Theme: the system's, until the reader chooses.
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  });

  // Filters: every table at once; the choice is part of the address, so that a view can be sent.
  const form = document.getElementById("filters");
  const fields = every("select", form);
  form.hidden = false;
  const wanted = () => Object.fromEntries(fields.map((field) => [field.name, field.value]));
  const fits = (node, choice) => ["task", "domain", "budget"].every(
    (key) => !choice[key] || node.dataset[key] === undefined || node.dataset[key] === choice[key] || (key === "budget" && meets(node.dataset.budget, choice.budget)),
  ) && (!choice.method || node.dataset.method === undefined || node.dataset.method === choice.method || node.dataset.method2 === choice.method);
  // A row that learns one task belongs to every budget of the other.
  const meets = (own, asked) => {
    const parts = own.split("/"), other = asked.split("/");
    return parts.length === 2 && parts.every((part, place) => part === "–" || part === "any" || part === other[place]);
  };
  const apply = () => {
    const choice = wanted();
    every("tbody tr, #runs details, .verdicts li").forEach((node) => { node.hidden = !fits(node, choice); });
    every("#main-table [data-domain]").forEach((node) => {
      node.hidden = !fits(node, { task: choice.task, domain: choice.domain });
    });
    const rows = every("#main-table tbody tr");
    // A row that says nothing in the columns left is in the way.
    rows.filter((row) => !row.hidden).forEach((row) => {
      row.hidden = !every("td[data-domain]", row).some((node) => !node.hidden && node.dataset.v !== "");
    });
    document.getElementById("shown").value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows of the main table`;
  };
  const remember = () => {
    const parts = Object.entries(wanted()).filter(([, value]) => value).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
    history.replaceState(null, "", parts.length ? `#filter:${parts.join("&")}` : location.pathname + location.search);
  };
  const recall = () => {
    if (!location.hash.startsWith("#filter:")) return;
    for (const part of location.hash.slice(8).split("&")) {
      const [key, value] = part.split("=");
      const field = fields.find((one) => one.name === key);
      if (field) field.value = decodeURIComponent(value);
    }
  };
  form.addEventListener("change", () => { apply(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());

  // Sorting: numbers by value, words by the alphabet; empty cells stay last.
  every("table.sortable").forEach((table) => {
    every("button.sort", table).forEach((button) => button.addEventListener("click", () => {
      const head = button.closest("th"), place = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "ascending";
      every("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => {
        const cell = row.cells[place];
        if (cell.dataset.v === undefined) return cell.textContent.trim();
        return cell.dataset.v === "" ? null : Number(cell.dataset.v);
      };
      const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : (down ? -1 : 1) * order(a, b)));
      body.append(...rows.map(([, row]) => row));
    }));
  });

  // A number leads to its runs: open them.
  const open = () => {
    const target = location.hash.length > 1 && !location.hash.startsWith("#filter:") && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") {
      target.hidden = false;
      target.open = true;
      target.querySelector("summary").focus();
    }
  };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => every("#how details").forEach((node) => { node.open = true; }));

  // Case by case.
  const { domains } = JSON.parse(document.getElementById("scatter-data").textContent);
  const [pickDomain, pickX, pickY] = ["domain", "x", "y"].map((name) => document.getElementById(`scatter-${name}`));
  const options = (select, names) => select.replaceChildren(...names.map((name, place) => new Option(name, place)));
  const shape = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const draw = () => {
    const { unit, cases, lines } = domains[pickDomain.value];
    const [one, other] = [lines[pickX.value], lines[pickY.value]];
    const all = [...one.values, ...other.values];
    const low = Math.floor(Math.min(...all) * 10) / 10, high = Math.max(Math.ceil(Math.max(...all) * 10) / 10, low + 0.1);
    const size = 420, edge = 56, scale = (value) => edge + (value - low) / (high - low) * (size - edge - 12);
    const above = other.values.filter((value, place) => value > one.values[place]).length;
    const words = `${unit} of ${cases.length} cases: ${other.name} is higher than ${one.name} in ${above}.`;
    const svg = shape("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": words });
    const up = (value) => size - scale(value);
    for (let tick = 0; tick <= 4; tick += 1) {
      const value = low + (high - low) * tick / 4;
      svg.append(
        shape("line", { class: "axis", x1: scale(value), x2: scale(value), y1: up(low), y2: up(high) }),
        shape("line", { class: "axis", y1: up(value), y2: up(value), x1: scale(low), x2: scale(high) }),
        shape("text", { x: scale(value), y: size - edge + 16, "text-anchor": "middle" }, value.toFixed(2)),
        shape("text", { x: edge - 6, y: up(value) + 4, "text-anchor": "end" }, value.toFixed(2)),
      );
    }
    svg.append(shape("line", { x1: scale(low), y1: up(low), x2: scale(high), y2: up(high), stroke: "currentColor", "stroke-dasharray": "3 3" }));
    one.values.forEach((value, place) => {
      const dot = shape("circle", { cx: scale(value), cy: up(other.values[place]), r: 3.2 });
      dot.append(shape("title", {}, `${cases[place]}: ${value} and ${other.values[place]}`));
      svg.append(dot);
    });
    svg.append(
      shape("text", { x: (size + edge) / 2, y: size - 14, "text-anchor": "middle" }, one.name),
      shape("text", { x: -(size - edge) / 2, y: 14, "text-anchor": "middle", transform: "rotate(-90)" }, other.name),
    );
    const largest = cases.map((name, place) => [name, one.values[place], other.values[place]])
      .sort((a, b) => Math.abs(b[2] - b[1]) - Math.abs(a[2] - a[1])).slice(0, 10);
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    ["Case", one.name, other.name].forEach((name) => head.append(Object.assign(element("th", name), { scope: "col" })));
    const body = table.createTBody();
    largest.forEach(([name, a, b]) => {
      const row = body.insertRow();
      [name, a.toFixed(3), b.toFixed(3)].forEach((text) => row.append(element("td", text)));
    });
    const details = document.createElement("details");
    details.append(element("summary", "The ten largest differences"), table);
    document.getElementById("scatter").replaceChildren(element("p", words), svg, details);
  };
  const choose = () => {
    const names = domains[pickDomain.value].lines.map((line) => line.name);
    options(pickX, names);
    options(pickY, names);
    pickX.value = names.length - 1;
    pickY.value = Math.max(0, names.length - 2);
    draw();
  };
  if (domains.length) {
    document.getElementById("scatter-form").hidden = false;
    options(pickDomain, domains.map((one) => `${one.domain} (${one.task})`));
    pickDomain.value = Math.max(0, domains.findIndex((one) => one.task === "segmentation"));
    pickDomain.addEventListener("change", choose);
    [pickX, pickY].forEach((select) => select.addEventListener("change", draw));
    choose();
  }
  recall();
  apply();
  open();
})();
