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
   * @param {number} part  Which vector. @param {number} start @param {number} end  Places.
   * @param {number | null} chosen  A unit of it, from 0.
   */
  draw(reading, part, start, end, chosen) {
    const { hiddenSize: H, units, activations } = reading;
    const width = Math.max(1, end - start);
    Object.assign(this, { first: start, width, height: H });
    this.canvas.width = width;
    this.canvas.height = H;
    const image = new ImageData(width, H);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < end - start; x++) {
      let from = (start + x) * units + part * H;
      for (let at = x; at < width * H; at += width) pixels[at] = COLOURS[activations[from++] + 128];
    }
    const context = this.canvas.getContext("2d");
    context.putImageData(image, 0, 0);
    if (chosen === null) return;
    this.canvas.style.setProperty("--row", String((chosen + 0.5) / H));
  }

  /** The place and the unit, from 0, under a pointer. */
  at({ offsetX, offsetY }) {
    const { clientWidth, clientHeight } = this.canvas;
    const within = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return {
      place: this.first + within(offsetX / clientWidth, this.width),
      unit: within(offsetY / clientHeight, this.height),
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
