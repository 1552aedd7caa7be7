/** The chart of the loss by distance. */

import { Chart, createLegend } from "./charts.js";

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
