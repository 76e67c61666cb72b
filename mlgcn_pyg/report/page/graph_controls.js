// What the reader does with the label graph: controls, pointer and keys.

const NEAREST = 0.25; // the smallest zoom
const FARTHEST = 12;

function startControls(view) {
  byId("graph-tau").addEventListener("input", (event) => {
    view.tau = Number(event.target.value);
    byId("graph-tau-value").textContent = view.tau.toFixed(2);
    select(view);
  });
  byId("graph-dim").addEventListener("change", (event) => {
    view.dim = event.target.checked;
    select(view);
  });
  const widths = byId("graph-widths");
  if (widths) {
    widths.addEventListener("change", () => {
      view.head = Number(widths.value);
      select(view);
    });
  }
  startSearch(view);
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(view, button.dataset.zoom));
  }
}

function startSearch(view) {
  const input = byId("graph-search");
  input.addEventListener("input", () => {
    const text = folded(input.value.trim());
    const found = view.net.nodes.filter((node) => text && folded(node.name).includes(text));
    view.matches = text ? new Set(found) : null;
    byId("graph-count").textContent = text ? searchSentence(view, text, found) : view.sentence;
    refresh(view);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.value = "";
    if (event.key === "Escape") input.dispatchEvent(new Event("input"));
    if (event.key !== "Enter" || !view.matches || !view.matches.size) return;
    event.preventDefault();
    choose(view, [...view.matches][0]);
    reveal(view, view.selected);
  });
}

function searchSentence(view, text, found) {
  if (found.length) return `${counted(found.length, "label")} found in the picture.`;
  const others = view.values.labels.filter((name) => folded(name).includes(text)).length;
  return others ? `${counted(others, "label")} found, without an edge in the picture.` : "No label found.";
}

/** Selects a label, or nothing if it is selected already. */
function choose(view, node) {
  view.selected = node === view.selected ? null : node;
  refresh(view);
}

/** Moves the picture such that a label is visible. */
function reveal(view, node) {
  if (!node) return;
  const isVisible = node.px > 30 && node.py > 30 && node.px < view.width - 30 && node.py < view.height - 30;
  if (isVisible) return;
  view.dx += view.width / 2 - node.px;
  view.dy += view.height / 2 - node.py;
  layOut(view);
}

function zoomBy(view, way) {
  if (way === "reset") {
    view.scale = 1;
    view.dx = view.dy = 0;
    layOut(view);
    return;
  }
  zoomAt(view, way === "in" ? 1.4 : 1 / 1.4, view.width / 2, view.height / 2);
}

/** Zooms by a factor such that the place (x, y) on the screen stays. */
function zoomAt(view, factor, x, y) {
  const scale = Math.min(FARTHEST, Math.max(NEAREST, view.scale * factor));
  const real = scale / view.scale;
  view.dx = x - (x - view.dx) * real;
  view.dy = y - (y - view.dy) * real;
  view.scale = scale;
  layOut(view);
}

// ---- pointer

function startPointer(view) {
  const { svg, net } = view;
  const state = { pointers: new Map(), node: null, moved: 0 };
  for (const node of net.nodes) {
    node.group.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && hover(view, node));
    node.group.addEventListener("pointerleave", () => hover(view, null));
    node.group.addEventListener("focus", () => hover(view, node));
    node.group.addEventListener("blur", () => hover(view, null));
    node.group.addEventListener("pointerdown", () => (state.node = node));
  }
  svg.addEventListener("pointerdown", (event) => {
    state.pointers.set(event.pointerId, placeOf(view, event));
    state.moved = 0;
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => movePointer(view, state, event));
  svg.addEventListener("pointerup", (event) => {
    if (state.moved < 4 && state.pointers.size === 1) choose(view, state.node || view.selected);
    endPointer(state, event);
  });
  svg.addEventListener("pointercancel", (event) => endPointer(state, event));
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // without a key, the wheel scrolls the page
    event.preventDefault();
    const place = placeOf(view, event);
    zoomAt(view, Math.exp(-event.deltaY / 300), place.x, place.y);
  }, { passive: false });
}

function hover(view, node) {
  if (view.hovered === node) return;
  view.hovered = node;
  refresh(view);
}

function endPointer(state, event) {
  state.pointers.delete(event.pointerId);
  if (!state.pointers.size) state.node = null;
}

function placeOf(view, event) {
  const box = view.svg.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function movePointer(view, state, event) {
  const before = state.pointers.get(event.pointerId);
  if (!before) return;
  const place = placeOf(view, event);
  const [dx, dy] = [place.x - before.x, place.y - before.y];
  state.moved += Math.abs(dx) + Math.abs(dy);
  if (state.pointers.size === 2) {
    const other = [...state.pointers].find(([pointer]) => pointer !== event.pointerId)[1];
    const spread = (at) => Math.hypot(at.x - other.x, at.y - other.y) || 1;
    zoomAt(view, spread(place) / spread(before), other.x, other.y);
  } else if (state.node) {
    moveNode(view, state.node, dx, dy);
  } else {
    view.dx += dx;
    view.dy += dy;
  }
  state.pointers.set(event.pointerId, place);
  layOut(view);
}

function moveNode(view, node, dx, dy) {
  const left = Math.min(56, 0.13 * view.width);
  const x = dx / view.scale / (view.width - 2 * left);
  const y = dy / view.scale / (view.height - 2.4 * 22);
  const isUpright = view.width < 560;
  node.x += 1.6 * (isUpright ? y : x);
  node.y += isUpright ? x : y;
}

// ---- keys

/** One label at a time can be reached with Tab; arrow keys go on from it. */
function startKeys(view) {
  const { net, svg } = view;
  view.current = net.nodes.reduce((a, b) => (b.edges.length > a.edges.length ? b : a));
  view.current.group.setAttribute("tabindex", "0");
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const zooms = { "+": "in", "=": "in", "-": "out", 0: "reset" };
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = directions[event.key];
    if (direction) moveFocus(view, nearestIn(view, direction));
    else if (event.key === "Enter" || event.key === " ") choose(view, view.current);
    else if (event.key === "Escape") choose(view, view.selected);
    else if (zooms[event.key]) zoomBy(view, zooms[event.key]);
    else return;
    event.preventDefault();
  });
}

function moveFocus(view, node) {
  if (!node) return;
  view.current.group.setAttribute("tabindex", "-1");
  node.group.setAttribute("tabindex", "0");
  view.current = node;
  node.group.focus({ preventScroll: true });
  reveal(view, node);
}

/** Returns the label that is nearest in a direction; a label straight ahead counts as nearer than one aside. */
function nearestIn(view, [right, down]) {
  const { px, py } = view.current;
  let best = null;
  let least = Infinity;
  for (const node of view.net.nodes) {
    const [dx, dy] = [node.px - px, node.py - py];
    const ahead = dx * right + dy * down;
    const aside = Math.abs(dx * down) + Math.abs(dy * right);
    const cost = ahead + 2 * aside;
    if (ahead > 1 && aside < 2 * ahead && cost < least) [best, least] = [node, cost];
  }
  return best;
}
