/** The charts of gates and of the loss by distance. */

import { Chart, createLegend } from "./charts.js";

const GATES = {
  i: ["input gate", "lets new values into the memory"],
  f: ["forget gate", "keeps the old memory"],
  o: ["output gate", "shows the memory to other units"],
  r: ["reset gate", "reads the old values"],
  z: ["update gate", "keeps the old values"],
};
const SHARE = { from: 0, to: 1, ticks: [0, 0.5, 1], format: (share) => `${100 * share}%` };

/**
 * Draw a chart for each layer and gate: how often the gate of each unit is closed and open.
 *
 * @param {(layer: number, unit: number) => void} onPick  Called when the reader clicks a unit.
 */
export function drawGates(element, layers, onPick) {
  const charts = layers.flatMap((layer, index) => Object.entries(layer).map(([gate, shares]) => {
    const [name, effect] = GATES[gate];
    const title = layers.length > 1 ? `Layer ${index + 1}, ${name}` : name;
    const chart = new Chart({
      label: `${title}: how often it is closed and open, for each unit`,
      x: { ...SHARE, title: "closed (below 0.1)" },
      y: { ...SHARE, title: "open (above 0.9)" },
      width: 280,
      height: 260,
    });
    chart.drawLine([[0, 1], [1, 0]], "limit");
    shares.forEach(([closed, open], unit) => {
      const tooltip = `unit ${unit + 1}: closed ${formatShare(closed)}, open ${formatShare(open)}`;
      const dot = chart.drawDot([closed, open], tooltip);
      dot.addEventListener("click", () => onPick(index, unit));
    });
    return createFigure(title, effect, chart.element);
  }));
  element.replaceChildren(...charts);
  element.closest("section").hidden = charts.length === 0;
}

/** Draw the loss by the number of characters that were read before. */
export function drawDistance(element, { network, counts, context }) {
  const toPoints = (curve) => curve.map(([first, last, loss]) => [Math.sqrt(first * last), loss]);
  const losses = [...network, ...(counts ?? [])].map(([, , loss]) => loss);
  const chart = new Chart({
    label: "Loss by the number of characters read before",
    x: { from: 1, to: network.at(-1)[1], log: true, title: "characters read before" },
    y: { from: 0, to: 1.05 * Math.max(...losses), title: "loss, in nats per character" },
  });
  const entries = [["network", "this network"]];
  if (counts) {
    chart.drawLine(toPoints(counts), "counts");
    entries.push(["counts", `counts of the training text, which see ${context} characters`]);
  }
  chart.drawLine(toPoints(network), "network");
  element.replaceChildren(chart.element, createLegend(entries));
}

export function formatShare(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

function createFigure(title, description, chart) {
  const element = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const strong = document.createElement("b");
  strong.textContent = title;
  caption.append(strong, ` ${description}`);
  element.append(caption, chart);
  return element;
}
