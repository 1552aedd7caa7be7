/** Every unit of one vector of the state over the part of the passage that is in view. */

export class UnitMap {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} tells  Says what is pointed at. */
  constructor(canvas, tells) {
    this.canvas = canvas;
    this.tells = tells;
    this.first = 0; // the first place that is drawn
  }

  /**
   * @param {import("./reading.js").Reading} reading
   * @param {number[]} order  The units of the rows, by their numbers in the state.
   * @param {number} start @param {number} end  The places of the columns.
   * @param {number} chosen  The unit whose row is marked.
   */
  draw(reading, order, start, end, chosen) {
    const { units, activations } = reading;
    const width = Math.max(1, end - start);
    Object.assign(this, { first: start, width, order });
    this.canvas.width = width;
    this.canvas.height = order.length;
    const image = new ImageData(width, order.length);
    const pixels = new Uint32Array(image.data.buffer);
    let at = 0;
    for (const unit of order) {
      for (let from = start * units + unit, x = 0; x < width; x++, from += units) {
        pixels[at++] = COLOURS[activations[from] + 128];
      }
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    const row = (order.indexOf(chosen) + 0.5) / order.length;
    this.canvas.parentElement.style.setProperty("--row", String(row));
  }

  /** The place and the unit under a pointer. */
  at({ offsetX, offsetY }) {
    const { clientWidth, clientHeight } = this.canvas;
    const within = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return {
      place: this.first + within(offsetX / clientWidth, this.width),
      unit: this.order[within(offsetY / clientHeight, this.order.length)],
    };
  }
}

/** From blue (-1) through white, which lets the ground be seen, to orange (1), as bytes R G B A. */
const COLOURS = Uint32Array.from({ length: 256 }, (_, index) => {
  const value = Math.max(-127, index - 128) / 127;
  const [red, green, blue] = value < 0 ? [37, 99, 235] : [234, 120, 10];
  const alpha = Math.round(255 * Math.abs(value) ** 0.8);
  return new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer)[0];
});
