/** Draw the losses of a training as a curve, with a text alternative. */

const [WIDTH, HEIGHT] = [600, 200]; // of the drawing, which is stretched

/**
 * @param {HTMLElement} figure  Has an `svg` with a `polyline` for each curve, and elements for the
 *   largest loss, the smallest and the last step.
 * @param {{train: [number, number][], val: [number, number][]}} losses  Pairs of step and loss.
 */
export function drawCurve(figure, { train, val }) {
  const all = [...train, ...val];
  figure.hidden = all.length < 2;
  if (figure.hidden) return;
  const losses = all.map(([, loss]) => loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const last = Math.max(...all.map(([step]) => step));
  const place = ([step, loss]) => {
    const height = (high - loss) / (high - low || 1);
    return `${((step / last) * WIDTH).toFixed(1)},${(height * HEIGHT).toFixed(1)}`;
  };
  for (const [name, points] of Object.entries({ train, val })) {
    const line = figure.querySelector(`polyline.${name}`);
    // the second one makes a single point visible
    line.setAttribute("points", [...points, ...points.slice(-1)].map(place).join(" "));
  }
  const texts = { ".high": high.toFixed(2), ".low": low.toFixed(2),
    ".last": `step ${last.toLocaleString("en")}` };
  for (const [name, text] of Object.entries(texts)) figure.querySelector(name).textContent = text;
  const label = `Loss in nats a character. ${describe("Training", train)} `
    + describe("Validation", val);
  figure.querySelector("svg").setAttribute("aria-label", label);
}

function describe(name, points) {
  if (!points.length) return `${name}: none yet.`;
  const [[first, start], [last, end]] = [points[0], points.at(-1)];
  return `${name}: ${start.toFixed(2)} at step ${first}, ${end.toFixed(2)} at step ${last}.`;
}
