/** Charts in SVG. All texts in them are text nodes, never markup. */

const NAMESPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [420, 280];
const MARGIN = { top: 12, right: 26, bottom: 38, left: 56 };

/** Create an SVG element with attributes and children. */
export function createSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * A chart with two axes.
 *
 * @typedef {{from: number, to: number, title: string, log?: boolean}} Axis
 */
export class Chart {
  /** @param {{label: string, x: Axis, y: Axis}} options */
  constructor({ label, x, y }) {
    this.x = makeScale(x, MARGIN.left, WIDTH - MARGIN.right);
    this.y = makeScale(y, HEIGHT - MARGIN.bottom, MARGIN.top);
    this.element = createSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, role: "img",
      "aria-label": label });
    this.#drawAxes(x, y);
  }

  /** Draw a line through points [x, y]; `name` is a class of the style sheet. */
  drawLine(points, name) {
    const pairs = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
    this.element.append(createSvg("polyline", { points: pairs.join(" "), class: `line ${name}` }));
  }

  #drawAxes(x, y) {
    const { top, left } = MARGIN;
    const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
    const axes = createSvg("g", { class: "axes" });
    const drawLine = (x1, y1, x2, y2) => axes.append(createSvg("line", { x1, y1, x2, y2 }));
    const drawText = (text, x, y, anchor, more = {}) =>
      axes.append(createSvg("text", { x, y, "text-anchor": anchor, ...more }, text));
    for (const tick of chooseTicks(x)) {
      drawLine(this.x(tick), top, this.x(tick), bottom);
      drawText(tick.toLocaleString("en"), this.x(tick), bottom + 15, "middle");
    }
    for (const tick of chooseTicks(y)) {
      drawLine(left, this.y(tick), right, this.y(tick));
      drawText(tick.toLocaleString("en"), left - 6, this.y(tick) + 4, "end");
    }
    const middle = (top + bottom) / 2;
    const rotated = { class: "title", transform: `rotate(-90 11 ${middle})` };
    drawText(x.title, (left + right) / 2, HEIGHT - 4, "middle", { class: "title" });
    drawText(y.title, 11, middle, "middle", rotated);
    this.element.append(axes);
  }
}

/** Return the function from an axis's values to coordinates between `start` and `end`. */
function makeScale({ from, to, log }, start, end) {
  const transform = log ? Math.log : Number;
  const size = transform(to) - transform(from) || 1;
  return (value) => start + ((transform(value) - transform(from)) / size) * (end - start);
}

/** Return round numbers between the ends of an axis. */
function chooseTicks({ from, to, log }) {
  const numbers = [];
  if (log) {
    for (let tick = 1; tick <= to; tick *= 4) if (tick >= from) numbers.push(tick);
    return numbers;
  }
  const rough = (to - from) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  for (let tick = Math.ceil(from / step) * step; tick <= to + step / 1e6; tick += step) {
    numbers.push(Number(tick.toPrecision(12)));
  }
  return numbers;
}

/** Create a legend of lines, from a class and a text of each. */
export function createLegend(entries) {
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
