/** The samples that training wrote, one after the other. */

export class History {
  /** @param {HTMLElement} section @param {{samples: [number, string][], curves: object}} report */
  constructor(section, { samples, curves }) {
    section.hidden = samples.length === 0;
    if (section.hidden) return;
    this.samples = samples;
    this.curves = curves;
    this.slider = section.querySelector("input");
    this.output = section.querySelector("output");
    this.text = section.querySelector(".text");
    this.slider.max = String(samples.length - 1);
    this.slider.addEventListener("input", () => this.show(this.slider.valueAsNumber));
    this.show(samples.length - 1);
  }

  show(index) {
    const [step, text] = this.samples[index];
    const loss = this.curves.val?.find(([at]) => at === step)?.[1];
    const told = loss === undefined ? "" : `, validation loss ${loss.toFixed(3)}`;
    this.slider.value = String(index);
    this.output.textContent = `step ${step.toLocaleString("en")}${told}`;
    this.slider.setAttribute("aria-valuetext", this.output.textContent);
    this.text.textContent = text;
  }
}
