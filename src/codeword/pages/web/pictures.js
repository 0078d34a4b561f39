// Samples drawn: pictures on a canvas, curves, rows of a table.

codeword.make = function (tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

// A cell of two lines at most; all of it is in its title.
codeword.cell = function (text) {
  const cell = codeword.make("td");
  cell.append(codeword.make("span", "", text));
  cell.title = text;
  return cell;
};

codeword.svg = function (tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// Four digits that count, without an exponent where it can be helped.
codeword.short = function (value) {
  if (!Number.isFinite(value)) return "missing";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
};

codeword.canvas = function (width, height, name) {
  const canvas = codeword.make("canvas", "pixels");
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
};

// How samples look: what the page's own decoder makes goes through here.
codeword.View = class {
  constructor(known, scale) {
    Object.assign(this, known);
    this.offsets = codeword.numbers(scale.offset, "float32");
    this.scales = codeword.numbers(scale.scale, "float32");
    this.mixed = this.cells ? new codeword.Cells(this.cells) : null;
  }

  // A value in scaled units to the units of x.
  raw(value, i) {
    const at = this.scales.length > 1 ? i : 0;
    return value * this.scales[at] + this.offsets[at];
  }

  // What stands under each name of a table, of a row in scaled units.
  texts(row) {
    const values = Array.from(row, (value, i) => this.raw(value, i));
    return (this.mixed ? this.mixed.of(values) : values).map(codeword.said);
  }

  // A row in scaled units to RGBA.
  pixels(row) {
    const { width, height, channels } = this;
    const area = width * height;
    const data = new Uint8ClampedArray(4 * area);
    const factor = 255 / (this.high - this.low);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) {
        const channel = Math.min(c, channels - 1);
        const at = this.planes ? channel * area + i : i * channels + channel;
        data[4 * i + c] = (this.raw(row[at], at) - this.low) * factor;
      }
      data[4 * i + 3] = channels === 4 ? (this.raw(row[4 * i + 3], 4 * i + 3) - this.low) * factor : 255;
    }
    return new ImageData(data, width, height);
  }

  // Whatever stood in the place gives way to the decoded row.
  show(place, row, name) {
    if (this.kind === "image") {
      let canvas = place.querySelector("canvas");
      if (!canvas) place.replaceChildren(canvas = codeword.canvas(this.width, this.height, name));
      canvas.getContext("2d").putImageData(this.pixels(row), 0, 0);
    } else if (this.kind === "curve") {
      const values = new Float32Array(row.length);
      const { length, channels } = this;
      for (let t = 0; t < length; t++) {
        for (let c = 0; c < channels; c++) {
          const at = this.planes ? c * length + t : t * channels + c;
          values[t * channels + c] = this.raw(row[at], at);
        }
      }
      const drawn = { values, length, channels: Math.min(channels, 4), all: channels, color: "hat" };
      place.replaceChildren(this.curves([drawn], name));
    } else {
      const table = codeword.make("table", "row-values");
      const texts = this.texts(row);
      for (let i = 0; i < Math.min(this.names.length, 12); i++) {
        const line = table.insertRow();
        line.append(codeword.cell(this.names[i]), codeword.cell(texts[i]));
      }
      place.replaceChildren(table);
      if (this.names.length > 12) {
        place.append(codeword.make("p", "note", `and ${this.names.length - 12} more`));
      }
    }
  }

  // Rows of a table beside each other: those columns that change most, the most first.
  table(rows, titles) {
    const table = codeword.make("table", "numbers");
    const head = table.createTHead().insertRow();
    head.append(...["", ...titles].map(title => codeword.make("th", "", title)));
    const range = place => {
      const values = rows.map(row => row[place]);
      return Math.max(...values) - Math.min(...values);
    };
    const texts = rows.map(row => this.texts(row));
    // The change of a column that several numbers make is that of the one that changes most.
    const spread = i => Math.max(...(this.mixed ? this.cells[i].places : [i]).map(range));
    const columns = this.names.map((_, i) => i).sort((a, b) => spread(b) - spread(a)).slice(0, 12);
    const body = table.createTBody();
    for (const i of columns) {
      const line = body.insertRow();
      const name = line.appendChild(codeword.make("th", "", this.names[i]));
      name.title = this.names[i];
      for (const row of texts) {
        const cell = line.insertCell();
        cell.textContent = cell.title = row[i];
      }
    }
    return table;
  }

  curves(lines, name) {
    const width = 160, height = 72;
    const picture = codeword.svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img" });
    picture.setAttribute("aria-label", name);
    for (const { values, length, channels, all, color } of lines) {
      for (let c = 0; c < channels; c++) {
        let path = "", pen = "M";
        for (let t = 0; t < length; t++) {
          const value = values[t * (all || channels) + c];
          if (!Number.isFinite(value)) { pen = "M"; continue; }
          const x = t / Math.max(1, length - 1) * width;
          const y = (1 - (value - this.low) / (this.high - this.low)) * height;
          path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
          pen = "L";
        }
        picture.append(codeword.svg("path", { d: path, class: `line ${color}` }));
      }
    }
    return picture;
  }
};

// Samples that came with the page, each alone or with its reconstruction.
codeword.Album = class {
  constructor(packed, view) {
    this.packed = packed;
    this.view = view;
    this.n = packed.n;
    if (view.kind === "image") {
      this.sheet = new Image();
      this.sheet.src = packed.sprite;
    } else if (view.kind === "table") {
      this.columns = new Int32Array(codeword.bytes(packed.columns));
      this.differences = codeword.numbers(packed.residuals, "float32");
      const places = view.mixed ? new Int32Array(codeword.bytes(packed.cells)) : null;
      this.values = places ? Array.from(places, place => packed.words[place])
        : codeword.numbers(packed.values, "float32");
    } else {
      this.values = codeword.numbers(packed.values, "float32");
    }
  }

  async ready() {
    if (this.sheet) await this.sheet.decode();
    return this;
  }

  tile(i, name) {
    const { width, height, across } = this.packed;
    const canvas = codeword.canvas(width, height, name);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.sheet, i % across * width, Math.floor(i / across) * height,
      width, height, 0, 0, width, height);
    return canvas;
  }

  // Blue where the sample is larger, orange where the reconstruction is; nothing where they agree.
  difference(one, other) {
    const { width, height } = one;
    const canvas = codeword.canvas(width, height, "difference");
    const a = one.getContext("2d").getImageData(0, 0, width, height).data;
    const b = other.getContext("2d").getImageData(0, 0, width, height).data;
    const image = new ImageData(width, height);
    for (let i = 0; i < a.length; i += 4) {
      const off = (a[i] + a[i + 1] + a[i + 2] - b[i] - b[i + 1] - b[i + 2]) / 3;
      image.data.set(off > 0 ? [51, 119, 204] : [230, 120, 20], i);
      image.data[i + 3] = Math.min(255, 2 * Math.abs(off));
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.classList.add("difference");
    return canvas;
  }

  // Elements that show sample i; a small one leaves out the words.
  draw(i, small) {
    const { kind } = this.view;
    if (kind === "image") {
      const one = this.tile(i, "sample");
      if (!this.packed.pair || small) return [one];
      const other = this.tile(this.n + i, "reconstruction");
      return [["sample", one], ["reconstruction", other], ["difference", this.difference(one, other)]]
        .map(([name, canvas]) => {
          const figure = codeword.make("figure", "tile");
          figure.append(canvas, codeword.make("figcaption", "", name));
          return figure;
        });
    }
    if (kind === "curve") {
      const { length, channels } = this.packed;
      const size = length * channels;
      const part = at => ({ values: this.values.subarray(at * size, (at + 1) * size), length, channels });
      const lines = [{ ...part(i), color: "own" }];
      if (this.packed.pair) lines.push({ ...part(this.n + i), color: "hat" });
      return [this.view.curves(lines, "a curve and its reconstruction")];
    }
    return [this.residuals(i, small ? 3 : this.packed.count)];
  }

  // The columns that are most off: value, reconstruction, and a bar of the residual in scaled units.
  residuals(i, most) {
    const { count, pair } = this.packed;
    const table = codeword.make("table", pair ? "row-values pairs" : "row-values");
    const all = this.n * count;
    const largest = Math.max(0.5, Math.abs(this.differences[i * count]));
    for (let j = 0; j < Math.min(most, count); j++) {
      const at = i * count + j;
      const line = table.insertRow();
      line.append(codeword.cell(this.view.names[this.columns[at]]));
      for (const place of pair ? [at, all + at] : [at]) {
        line.append(codeword.cell(codeword.said(this.values[place])));
      }
      if (pair) {
        const bar = codeword.make("span", this.differences[at] > 0 ? "bar above" : "bar below");
        bar.style.width = `${Math.round(44 * Math.abs(this.differences[at]) / largest)}px`;
        line.insertCell().append(bar);
      }
    }
    return table;
  }
};
