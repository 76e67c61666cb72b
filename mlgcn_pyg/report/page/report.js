// Tables that can be sorted and filtered, and helpers that all scripts of the page use.

const NAMESPACE = "http://www.w3.org/2000/svg";
const TYPES = { u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

/** Returns the numbers of an array that packing.py packed. */
function unpacked(text, kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new TYPES[kind](bytes.buffer);
}

/** Returns the fraction of an integer of packing.py's as_units; NaN stays NaN. */
function fraction(units) {
  return units === 65535 ? NaN : units / 65534;
}

/** Returns an element with attributes and children. Text is never read as HTML. */
function create(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Returns an SVG element with attributes and children. */
function createSvg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(NAMESPACE, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function byId(name) {
  return document.getElementById(name);
}

/** Returns a count with its noun: "1 label", "1,000 labels". */
function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns text for comparison: without case, and without accents. */
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}

// ---- tables

function startTables() {
  for (const table of document.querySelectorAll("table")) {
    const state = { table, all: false, filter: "", rows: [...table.tBodies[0].rows] };
    if (table.hasAttribute("data-sortable")) startSorting(state);
    if (table.hasAttribute("data-first")) startShortening(state);
    const input = table.id && document.querySelector(`[data-filter="${table.id}"]`);
    if (input) startFilter(state, input);
    showRows(state);
  }
}

function startSorting(state) {
  const headings = [...state.table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = heading.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      for (const cell of headings) if (cell.hasAttribute("aria-sort")) cell.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      sortRows(state, column, order === "descending" ? -1 : 1, heading.classList.contains("number"));
    });
  });
}

function sortRows(state, column, sign, isNumber) {
  const text = new Intl.Collator(undefined, { numeric: true });
  const keyed = state.rows.map((row) => {
    const cell = row.cells[column];
    return { row, order: Number(cell.dataset.order ?? NaN), text: cell.textContent };
  });
  keyed.sort((a, b) => {
    if (!isNumber) return sign * text.compare(a.text, b.text);
    if (Number.isNaN(a.order) || Number.isNaN(b.order)) return Number.isNaN(a.order) - Number.isNaN(b.order);
    return sign * (a.order - b.order);
  });
  state.rows = keyed.map((entry) => entry.row);
  state.table.tBodies[0].append(...state.rows);
  showRows(state);
}

function startShortening(state) {
  state.button = create("button", { type: "button", class: "more" });
  state.button.addEventListener("click", () => {
    state.all = !state.all;
    showRows(state);
  });
  state.table.parentElement.after(state.button);
}

function startFilter(state, input) {
  const status = input.closest(".tools").querySelector("[role=status]");
  input.addEventListener("input", () => {
    state.filter = folded(input.value.trim());
    const found = showRows(state);
    status.textContent = state.filter ? `${counted(found, "label")} found` : "";
  });
}

/** Hides the rows that the filter excludes, and those after the first ones; returns the number that it does not. */
function showRows(state) {
  const { table, button, rows } = state;
  const first = Number(table.dataset.first);
  let found = 0;
  for (const row of rows) {
    const matches = !state.filter || folded(row.cells[0].textContent).includes(state.filter);
    found += matches ? 1 : 0;
    row.classList.toggle("filtered", !matches);
    row.classList.toggle("beyond", Boolean(button) && !state.all && found > first);
  }
  if (button) {
    button.hidden = found <= first;
    button.textContent = state.all ? `Show the first ${first}` : `Show all ${found.toLocaleString("en")}`;
    button.setAttribute("aria-expanded", String(state.all));
  }
  return found;
}

// ---- commands

function startCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const text = byId(button.dataset.copy);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        window.getSelection().selectAllChildren(text); // without permission: ready for Ctrl+C
        button.textContent = "Selected";
      }
    });
  }
}
