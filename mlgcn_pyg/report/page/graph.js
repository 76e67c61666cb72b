// The picture of the label graph: places are given, the reader moves, zooms, searches and changes the threshold.

const CURVE = 0.12; // bend of an edge, as a share of its length; i → j and j → i bend to different sides
const FEW = 6; // edges that a hub has at least
const LISTED = 12; // neighbours in the details of a label

function startGraph(values) {
  const frame = byId("graph-frame");
  if (!values.graph || !frame) return;
  const net = readGraph(values);
  const svg = createSvg("svg", {
    role: "application", "aria-label": "Label graph", "aria-describedby": "graph-help", tabindex: "-1",
  });
  const layers = ["edges", "nodes", "names"].map((name) => createSvg("g", { class: name }));
  svg.append(...layers);
  frame.append(svg);
  const view = { net, svg, frame, values, scale: 1, dx: 0, dy: 0, hovered: null, selected: null, matches: null };
  view.head = -1; // whose weights are drawn; −1 draws P
  view.tau = Number(byId("graph-tau").value);
  view.dim = true;
  for (const edge of net.edges) layers[0].append((edge.path = createSvg("path")));
  for (const node of net.nodes) drawNode(view, node, layers[1], layers[2]);
  startControls(view);
  startPointer(view);
  startKeys(view);
  select(view);
  new ResizeObserver(() => layOut(view)).observe(frame);
}

function readGraph(values) {
  const { graph, labels } = values;
  const [x, y, prob] = [unpacked(graph.x, "f4"), unpacked(graph.y, "f4"), unpacked(graph.prob, "f8")];
  const [source, target] = [unpacked(graph.source, "u4"), unpacked(graph.target, "u4")];
  const counts = graph.counts === null ? null : unpacked(graph.counts, "u4");
  const learned = graph.learned.map((found) => unpacked(found.ratio, "f4"));
  const most = counts ? Math.max(1, counts.reduce((a, b) => Math.max(a, b), 0)) : 1;
  const smaller = Math.max(0.5, Math.min(1, Math.sqrt(150 / x.length))); // many labels have small dots
  const nodes = [...unpacked(graph.labels, "u4")].map((label, place) => ({
    label, place, name: labels[label], x: x[place], y: y[place], count: counts ? counts[place] : null,
    radius: smaller * (3.5 + 9 * Math.sqrt(counts ? counts[place] / most : 0.1)), edges: [], shown: [],
  }));
  const edges = [...source].map((from, place) => ({
    source: nodes[from], target: nodes[target[place]], prob: prob[place], weights: learned.map((ratio) => ratio[place]),
  }));
  for (const edge of edges) {
    edge.source.edges.push(edge);
    edge.target.edges.push(edge);
  }
  return { nodes, edges };
}

function drawNode(view, node, circles, names) {
  node.circle = createSvg("circle", { r: node.radius.toFixed(1) });
  node.group = createSvg("g", { class: "node", role: "button", tabindex: "-1", "aria-pressed": "false" }, node.circle);
  node.text = createSvg("text", { class: "name", "aria-hidden": "true" }, shortName(node.name));
  node.group.append(createSvg("circle", { r: Math.max(11, node.radius).toFixed(1), class: "touch" }));
  circles.append(node.group);
  names.append(node.text);
  const pen = (drawNode.pen = drawNode.pen || document.createElement("canvas").getContext("2d"));
  pen.font = "12px system-ui, sans-serif";
  node.width = pen.measureText(node.text.textContent).width;
}

function shortName(name) {
  const letters = [...name];
  return letters.length > 28 ? `${letters.slice(0, 26).join("")}…` : name;
}

// ---- which edges are shown

/** Chooses the edges for the threshold and the weights, and says how many there are. */
function select(view) {
  const { net } = view;
  for (const node of net.nodes) node.shown = [];
  let count = 0;
  for (const edge of net.edges) {
    edge.visible = edge.prob >= view.tau && (view.head < 0 || !Number.isNaN(edge.weights[view.head]));
    if (!edge.visible) continue;
    count += 1;
    edge.source.shown.push(edge);
    edge.target.shown.push(edge);
  }
  view.thin = Math.max(0.3, Math.min(1, Math.sqrt(400 / Math.max(1, count)))); // many edges are fine and pale
  view.svg.style.setProperty("--thin", view.thin.toFixed(2));
  const used = net.nodes.filter((node) => node.shown.length);
  const usual = Math.max(FEW, (8 * count) / Math.max(1, used.length)); // four times the mean degree
  for (const node of net.nodes) node.isHub = node.shown.length >= usual;
  for (const edge of net.edges) if (edge.visible) styleEdge(view, edge);
  for (const node of net.nodes) describeNode(view, node);
  sayCount(view, count, used);
  emphasise(view);
  layOut(view);
}

function styleEdge(view, edge) {
  const ratio = view.head < 0 ? null : edge.weights[view.head];
  const strength = ratio === null ? edge.prob ** 2 : Math.min(Math.abs(ratio), 3) / 2;
  edge.path.setAttribute("stroke-width", ((0.5 + 1.9 * strength) * view.thin).toFixed(2));
  edge.kind = ratio === null || Math.abs(ratio - 1) < 0.05 ? "" : ratio > 1 ? "heavier" : "lighter";
  edge.isPale = view.dim && (edge.source.isHub || edge.target.isHub);
}

function sayCount(view, count, used) {
  const hubs = used.filter((node) => node.isHub).sort((a, b) => b.shown.length - a.shown.length).slice(0, 5);
  const named = hubs.map((node) => `${node.name} (${counted(node.shown.length, "edge")})`).join(", ");
  const parts = [`${counted(count, "edge")} with P ≥ ${view.tau.toFixed(2)} between ${counted(used.length, "label")}.`];
  if (hubs.length) parts.push(`${hubs.length === 1 ? "Hub" : "Hubs"}: ${named}.`);
  if (view.head >= 0) parts.push("Blue edges have a higher learned weight than in the mined graph, orange ones a lower one.");
  byId("graph-count").textContent = parts.join(" ");
  view.sentence = parts[0];
}

function describeNode(view, node) {
  const out = node.shown.filter((edge) => edge.source === node);
  const images = node.count === null ? "" : `, ${counted(node.count, "training image")}`;
  const text = `${node.name}${images}, makes ${counted(out.length, "label")} likely, is likely with ${node.shown.length - out.length}`;
  node.group.setAttribute("aria-label", text);
}

// ---- places on the screen

function layOut(view) {
  if (view.pending) return;
  view.pending = true;
  requestAnimationFrame(() => {
    view.pending = false;
    draw(view);
  });
}

function draw(view) {
  const { net, svg, frame } = view;
  const width = frame.clientWidth;
  if (!width) return;
  const height = Math.round(width < 560 ? 1.25 * width : Math.min(0.66 * width, 640));
  view.width = width;
  view.height = height;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, top] = [Math.min(56, 0.13 * width), 22];
  for (const node of net.nodes) {
    const [x, y] = width < 560 ? [node.y, node.x / 1.6] : [node.x / 1.6, node.y]; // upright on a phone
    node.px = (left + x * (width - 2 * left)) * view.scale + view.dx;
    node.py = (top + y * (height - 2.4 * top)) * view.scale + view.dy;
    node.group.setAttribute("transform", `translate(${node.px.toFixed(1)} ${node.py.toFixed(1)})`);
  }
  for (const edge of net.edges) drawEdge(edge);
  drawNames(view);
}

function drawEdge(edge) {
  edge.path.style.display = edge.visible ? "" : "none";
  if (!edge.visible) return;
  const { source, target } = edge;
  const [dx, dy] = [target.px - source.px, target.py - source.py];
  const length = Math.hypot(dx, dy) || 1;
  const [cx, cy] = [source.px + dx / 2 - CURVE * dy, source.py + dy / 2 + CURVE * dx];
  const [sx, sy] = towards(source.px, source.py, cx, cy, Math.min(source.radius + 1, length / 2));
  const [tx, ty] = towards(target.px, target.py, cx, cy, Math.min(target.radius + 2, length / 2));
  const angle = Math.atan2(ty - cy, tx - cx);
  const size = Math.min(6, 2 + target.radius);
  const wings = [angle + 2.7, angle - 2.7].map((wing) => `${(tx + size * Math.cos(wing)).toFixed(1)} ${(ty + size * Math.sin(wing)).toFixed(1)}`);
  const point = `${tx.toFixed(1)} ${ty.toFixed(1)}`;
  const line = `M${sx.toFixed(1)} ${sy.toFixed(1)}Q${cx.toFixed(1)} ${cy.toFixed(1)} ${point}`;
  edge.path.setAttribute("d", `${line}M${wings[0]}L${point}L${wings[1]}`);
}

function towards(x, y, toX, toY, distance) {
  const length = Math.hypot(toX - x, toY - y) || 1;
  return [x + ((toX - x) * distance) / length, y + ((toY - y) * distance) / length];
}

/** Writes the names that do not overlap, those in focus first, then those of labels with many images. */
function drawNames(view) {
  const order = [...view.net.nodes].sort((a, b) => importance(view, b) - importance(view, a));
  const taken = [];
  for (const node of order) {
    const below = node.py + node.radius + 12;
    const middle = nearestInside(view, node);
    const box = [middle - node.width / 2 - 2, below - 11, middle + node.width / 2 + 2, below + 4];
    const isWanted = isInFocus(view, node) || (node.shown.length > 0 && !isFaded(view, node));
    const isFree = isWanted && !taken.some((other) => overlap(box, other));
    node.text.style.display = isFree || node === view.selected || node === view.hovered ? "" : "none";
    if (node.text.style.display) continue;
    taken.push(box);
    node.text.setAttribute("x", middle.toFixed(1));
    node.text.setAttribute("y", below.toFixed(1));
  }
}

/** Returns the middle of a name: that of its label, or the nearest one at which the name is within the picture. */
function nearestInside(view, node) {
  if (node.px < 0 || node.px > view.width) return node.px;
  return Math.max(node.width / 2 + 2, Math.min(view.width - node.width / 2 - 2, node.px));
}

function overlap(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

function importance(view, node) {
  const first = node === view.hovered || node === view.selected ? 4 : view.matches && view.matches.has(node) ? 3 : 0;
  return 1e9 * (first + (isInFocus(view, node) ? 1 : 0)) + (node.count === null ? node.shown.length : node.count);
}

// ---- emphasis

/** Returns the label whose neighbours are emphasised: the one under the pointer, or the selected one. */
function focus(view) {
  return view.hovered || view.selected;
}

function isInFocus(view, node) {
  const centre = focus(view);
  if (node === centre || (view.matches && view.matches.has(node))) return true;
  return Boolean(centre) && centre.shown.some((edge) => edge.source === node || edge.target === node);
}

function isFaded(view, node) {
  return Boolean(focus(view) || view.matches) && !isInFocus(view, node);
}

function emphasise(view) {
  const centre = focus(view);
  for (const edge of view.net.edges) {
    if (!edge.visible) continue;
    const isOut = edge.source === centre;
    const isIn = edge.target === centre;
    const role = isOut ? "out" : isIn ? "in" : centre || view.matches ? "faded" : edge.isPale ? "pale" : "";
    edge.path.setAttribute("class", `edge ${edge.kind} ${role}`);
  }
  for (const node of view.net.nodes) {
    const state = `${isFaded(view, node) ? " faded" : ""}${node.shown.length ? "" : " alone"}${node.isHub ? " hub" : ""}`;
    node.group.setAttribute("class", `node${state}${view.matches && view.matches.has(node) ? " found" : ""}`);
    node.group.setAttribute("aria-pressed", String(node === view.selected));
    node.group.classList.toggle("selected", node === view.selected);
  }
  showDetails(view);
}

function refresh(view) {
  emphasise(view);
  layOut(view);
}

// ---- the details beside the picture

function showDetails(view) {
  const node = focus(view);
  const panel = byId("graph-details");
  if (!node) {
    const strongest = view.net.edges.filter((edge) => edge.visible).sort((a, b) => b.prob - a.prob).slice(0, LISTED);
    const rows = strongest.map((edge) => neighbour(view, edge, [edge.source, edge.target]));
    panel.replaceChildren(create("h3", {}, "Strongest edges"), create("ul", {}, ...rows));
    return;
  }
  const lines = [create("h3", { dir: "auto" }, node.name)];
  const facts = node.count === null ? [] : [counted(node.count, "training image")];
  if (view.values.heads.length) {
    facts.push(...view.values.heads.map((head, place) => `AP ${percentText(view.values.AP[place][node.label])} (${head})`));
  }
  lines.push(create("p", {}, facts.join(", ")));
  const [out, into] = [node.shown.filter((e) => e.source === node), node.shown.filter((e) => e.target === node)];
  lines.push(...listed(view, "makes likely", out, (edge) => edge.target));
  lines.push(...listed(view, "is likely with", into, (edge) => edge.source));
  panel.replaceChildren(...lines);
}

function listed(view, title, edges, other) {
  if (!edges.length) return [];
  const sorted = [...edges].sort((a, b) => b.prob - a.prob);
  const rows = sorted.slice(0, LISTED).map((edge) => neighbour(view, edge, [other(edge)]));
  if (sorted.length > LISTED) rows.push(create("li", { class: "note" }, `and ${sorted.length - LISTED} more`));
  return [create("h4", {}, title), create("ul", {}, ...rows)];
}

function neighbour(view, edge, nodes) {
  const value = view.head < 0 ? edge.prob.toFixed(2) : `${edge.weights[view.head].toFixed(2)}×`;
  const names = nodes.flatMap((node) => [" → ", create("bdi", {}, shortName(node.name))]).slice(1);
  return create("li", {}, create("span", {}, ...names), create("span", { class: "value" }, value));
}
