/** The charts: gates and the loss by distance. */

import { Chart, legend } from "./charts.js";

const GATES = {
  i: ["input gate", "lets in what is new"],
  f: ["forget gate", "keeps what was there"],
  o: ["output gate", "shows the memory to others"],
  r: ["reset gate", "looks at the past"],
  z: ["update gate", "keeps what was there"],
};
const SHARE = { from: 0, to: 1, ticks: [0, 0.5, 1], tell: (share) => `${100 * share}%` };

/**
 * For each layer and gate, how often each unit's is shut and open.
 *
 * @param {(layer: number, unit: number) => void} onPick  Called when one chooses a unit.
 */
export function drawGates(element, layers, onPick) {
  const charts = layers.flatMap((layer, index) => Object.entries(layer).map(([gate, shares]) => {
    const [name, what] = GATES[gate];
    const title = layers.length > 1 ? `Layer ${index + 1}, ${name}` : name;
    const chart = new Chart({
      label: `${title}: for each unit how often it is shut, and how often it is open`,
      x: { ...SHARE, title: "shut (below 0.1)" },
      y: { ...SHARE, title: "open (above 0.9)" },
      width: 280,
      height: 260,
    });
    chart.line([[0, 1], [1, 0]], "limit");
    shares.forEach(([shut, open], unit) => {
      const tells = `unit ${unit + 1}: shut ${percent(shut)}, open ${percent(open)}`;
      const dot = chart.dot([shut, open], tells);
      dot.addEventListener("click", () => onPick(index, unit));
    });
    return figure(title, what, chart.element);
  }));
  element.replaceChildren(...charts);
  element.closest("section").hidden = charts.length === 0;
}

/** The loss by how many characters of the context were read. */
export function drawDistance(element, { network, counts, context }) {
  const middle = (curve) => curve.map(([first, last, loss]) => [Math.sqrt(first * last), loss]);
  const losses = [...network, ...(counts ?? [])].map(([, , loss]) => loss);
  const chart = new Chart({
    label: "The loss by the number of characters read before",
    x: { from: 1, to: network.at(-1)[1], log: true, title: "characters read before" },
    y: { from: 0, to: 1.05 * Math.max(...losses), title: "loss, in nats per character" },
  });
  const entries = [["network", "this network"]];
  if (counts) {
    chart.line(middle(counts), "counts");
    entries.push(["counts", `counts of its training text, which look back ${context} characters`]);
  }
  chart.line(middle(network), "network");
  element.replaceChildren(chart.element, legend(entries));
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

function figure(title, what, chart) {
  const element = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const strong = document.createElement("b");
  strong.textContent = title;
  caption.append(strong, ` ${what}`);
  element.append(caption, chart);
  return element;
}
