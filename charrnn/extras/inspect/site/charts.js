/** Plain charts in SVG. What is written in them is text nodes, whatever it holds. */

const NAMESPACE = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 26, bottom: 38, left: 56 };

/** An SVG element with attributes and what it holds. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * A chart with two axes, to which one draws.
 *
 * @typedef {{from: number, to: number, title: string, ticks?: number[], log?: boolean,
 *   tell?: (value: number) => string}} Axis
 */
export class Chart {
  /** @param {{label: string, x: Axis, y: Axis, width?: number, height?: number}} options */
  constructor({ label, x, y, width = 420, height = 280 }) {
    Object.assign(this, { width, height });
    this.x = scale(x, MARGIN.left, width - MARGIN.right);
    this.y = scale(y, height - MARGIN.bottom, MARGIN.top);
    this.element = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, role: "img",
      "aria-label": label });
    this.#axes(x, y);
  }

  /** A line through points [x, y], named by a class of the style sheet. */
  line(points, name) {
    const places = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
    this.element.append(svg("polyline", { points: places.join(" "), class: `line ${name}` }));
  }

  dot([x, y], tells) {
    const dot = svg("circle", { cx: this.x(x).toFixed(1), cy: this.y(y).toFixed(1), r: 3,
      class: "dot" });
    dot.append(svg("title", {}, tells));
    this.element.append(dot);
    return dot;
  }

  #axes(x, y) {
    const bottom = this.height - MARGIN.bottom;
    const axes = svg("g", { class: "axes" });
    for (const tick of ticksOf(x)) {
      const at = this.x(tick);
      axes.append(svg("line", { x1: at, x2: at, y1: MARGIN.top, y2: bottom }),
        svg("text", { x: at, y: bottom + 15, "text-anchor": "middle" }, told(x, tick)));
    }
    for (const tick of ticksOf(y)) {
      const at = this.y(tick);
      axes.append(svg("line", { x1: MARGIN.left, x2: this.width - MARGIN.right, y1: at, y2: at }),
        svg("text", { x: MARGIN.left - 6, y: at + 4, "text-anchor": "end" }, told(y, tick)));
    }
    const middle = (MARGIN.top + bottom) / 2;
    axes.append(
      svg("text", { x: (MARGIN.left + this.width - MARGIN.right) / 2, y: this.height - 4,
        "text-anchor": "middle", class: "title" }, x.title),
      svg("text", { x: 11, y: middle, transform: `rotate(-90 11 ${middle})`,
        "text-anchor": "middle", class: "title" }, y.title),
    );
    this.element.append(axes);
  }
}

function scale({ from, to, log }, start, end) {
  const place = log ? Math.log : Number;
  const size = place(to) - place(from) || 1;
  return (value) => start + ((place(value) - place(from)) / size) * (end - start);
}

function told({ tell = (value) => value.toLocaleString("en") }, tick) {
  return tell(tick);
}

/** Round numbers between an axis's ends. */
function ticksOf({ from, to, ticks, log }) {
  if (ticks) return ticks;
  if (log) {
    const found = [];
    for (let tick = 1; tick <= to; tick *= 4) if (tick >= from) found.push(tick);
    return found;
  }
  const rough = (to - from) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to + step / 1e6; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

/** What the lines of a chart are, as [class, name] each. */
export function legend(entries) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const [name, text] of entries) {
    const item = document.createElement("li");
    const sign = document.createElement("i");
    sign.className = name;
    item.append(sign, text);
    list.append(item);
  }
  return list;
}
