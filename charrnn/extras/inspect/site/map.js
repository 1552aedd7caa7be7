/** A map of all units of one vector of the state over the visible part of the passage. */

export class UnitMap {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} caption  Names the unit pointed at. */
  constructor(canvas, caption) {
    this.canvas = canvas;
    this.caption = caption;
    this.first = 0; // the place of the first column
  }

  /**
   * @param {import("./reading.js").Reading} reading
   * @param {number[]} order  The units of the rows, by their numbers in the state.
   * @param {number} start @param {number} end  The range of places of the columns.
   * @param {number} chosen  The unit of the marked row.
   */
  draw(reading, order, start, end, chosen) {
    const { units, activations } = reading;
    const width = Math.max(1, end - start);
    Object.assign(this, { first: start, width, order });
    this.canvas.width = width;
    this.canvas.height = order.length;
    const image = new ImageData(width, order.length);
    const pixels = new Uint32Array(image.data.buffer);
    let pixel = 0;
    for (const unit of order) {
      for (let from = start * units + unit, x = 0; x < width; x++, from += units) {
        pixels[pixel++] = COLOURS[activations[from] + 128];
      }
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    const row = (order.indexOf(chosen) + 0.5) / order.length;
    this.canvas.parentElement.style.setProperty("--row", String(row));
  }

  /** Return the place and the unit under the pointer. */
  locate({ offsetX, offsetY }) {
    const { clientWidth, clientHeight } = this.canvas;
    const toIndex = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return {
      place: this.first + toIndex(offsetX / clientWidth, this.width),
      unit: this.order[toIndex(offsetY / clientHeight, this.order.length)],
    };
  }
}

/** Colours from blue (-1) over transparent (0) to orange (1), as bytes R G B A. */
const COLOURS = Uint32Array.from({ length: 256 }, (_, index) => {
  const value = Math.max(-127, index - 128) / 127;
  const [red, green, blue] = value < 0 ? [37, 99, 235] : [234, 120, 10];
  const alpha = Math.round(255 * Math.abs(value) ** 0.8);
  return new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer)[0];
});
