// Small plots of what changes over time.

const NS = "http://www.w3.org/2000/svg", POINTS = 120;

/** The rate a second of what counts up: next(count, seconds), null the first time. */
export class Rate {
  #last = null;

  next(count, seconds) {
    const last = this.#last;
    this.#last = { count, seconds };
    if (!last || count < last.count || seconds <= last.seconds) return null;
    return (count - last.count) / (seconds - last.seconds);
  }
}

/** A plot with one or two lines, which says its latest values in words. */
export class Plot {
  #series = [];

  constructor(title, format, names, floor = 0) {
    this.format = format;
    this.names = names;
    this.floor = floor; // of the scale's upper end
    this.svg = document.createElementNS(NS, "svg");
    this.svg.setAttribute("class", "plot");
    this.svg.setAttribute("viewBox", `0 0 ${POINTS - 1} 100`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.value = document.createElement("p");
    this.value.className = "faint";
    const heading = document.createElement("h3");
    heading.textContent = title;
    this.element = document.createElement("section");
    this.element.className = "panel";
    this.element.append(heading, this.svg, this.value);
    this.#series = names.map((_, index) => {
      const path = document.createElementNS(NS, "path");
      if (index) path.setAttribute("class", "second");
      this.svg.append(path);
      return { path, samples: [] };
    });
  }

  add(...values) {
    if (values.some((value) => value === null)) return;
    values.forEach((value, index) => {
      const { samples } = this.#series[index];
      samples.push(value);
      if (samples.length > POINTS) samples.shift();
    });
    const top = Math.max(this.floor, ...this.#series.flatMap(({ samples }) => samples)) || 1;
    for (const { path, samples } of this.#series) {
      const start = POINTS - samples.length;
      path.setAttribute("d", samples.map((value, index) =>
        `${index ? "L" : "M"}${start + index} ${(98 - value / top * 96).toFixed(2)}`).join(""));
    }
    this.value.textContent = values.map((value, index) =>
      (this.names[index] ? `${this.names[index]} ` : "") + this.format(value)).join(", ");
  }
}
