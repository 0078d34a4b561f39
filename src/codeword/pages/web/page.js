// Puts the page together: charts, galleries, sliders, colors.

codeword.Page = class {
  constructor(content) {
    this.content = content;
    this.view = new codeword.View(content.view, content.scale);
    this.decoder = content.decoder === null ? null : new codeword.Decoder(content.decoder);
    this.live = content.live === null ? null : new codeword.Live(this);
    this.albums = {};
    this.colors = content.colors;
    for (const [name, packed] of Object.entries(content.albums)) {
      this.albums[name] = new codeword.Album(packed, this.view);
    }
  }

  get decodes() { return this.decoder !== null || this.live !== null; }

  // What a code decodes to comes into a place: at once in a file, when it arrives in a live page.
  decodeInto(place, code, name) {
    if (this.live) this.live.decodeInto(place, code, name);
    else this.view.show(place, this.decoder.run(code), name);
  }

  async decodeAll(codes) {
    return this.live ? this.live.decode(codes) : codes.map(code => Float32Array.from(this.decoder.run(code)));
  }

  async start() {
    await Promise.all(Object.values(this.albums).map(album => album.ready()));
    this.galleries();
    const { history, dimensions } = this.content.charts;
    if (history.length) codeword.curves(history);
    codeword.bars(dimensions);
    this.map = new codeword.Map(this);
    if (document.getElementById("between")) this.between = new codeword.Between(this);
    this.sliders();
    this.map.selected();
    this.choices();
    this.palette();
    if (this.between) this.between.start();
    if (this.live) this.live.start();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.palette());
    document.documentElement.dataset.ready = "yes";
  }

  galleries() {
    for (const place of document.querySelectorAll("[data-album]")) {
      const album = this.albums[place.dataset.album];
      if (!album) continue;
      place.querySelectorAll("[data-place]").forEach(cell => {
        const parts = album.draw(Number(cell.dataset.place));
        cell.prepend(...parts);
      });
    }
  }

  // Dark colors stand out on a light page only: on a dark one they are made lighter.
  lighter(color) {
    const channels = codeword.channels(color);
    const light = (0.3 * channels[0] + 0.59 * channels[1] + 0.11 * channels[2]) / 255;
    const share = Math.max(0, 0.55 * (1 - light / 0.45));
    const bytes = channels.map(c => Math.round(c + (255 - c) * share));
    return `#${bytes.map(c => c.toString(16).padStart(2, "0")).join("")}`;
  }

  // A color for each class or cluster, or a ramp and the limits between which quantities take one of it.
  colorsOf(name) {
    const { classes, ramp, limits } = this.colors;
    if (limits[name]) return { palette: ramp, limits: limits[name] };
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return { palette: dark ? classes.map(color => this.lighter(color)) : classes, limits: null };
  }

  palette() {
    for (const name of ["label", "cluster"]) {
      const { palette, limits } = this.colorsOf(name);
      if (limits) continue;
      document.querySelectorAll(`.legend[data-of="${name}"] i`).forEach((dot, i) => {
        dot.style.background = palette[i];
      });
    }
    const { value } = document.getElementById("color");
    if (this.map[value]) this.map.colorBy(value);
  }

  choices() {
    const color = document.getElementById("color");
    color.addEventListener("change", () => {
      this.palette();
      for (const legend of document.querySelectorAll(".legend")) {
        legend.hidden = legend.dataset.of !== color.value;
      }
    });
    const find = document.getElementById("find");
    const look = () => {
      const { n } = this.map;
      let place = -1;
      for (let i = 0; i < n && place < 0; i++) if (this.map.row(i) === Number(find.value)) place = i;
      const found = find.value !== "" && place >= 0;
      find.setCustomValidity(found || find.value === "" || this.live ? "" : "not on the map");
      find.reportValidity();
      this.map.select(found ? [place] : []);
      if (this.live && find.value !== "" && !found) this.look(find);
    };
    find.addEventListener("change", look);
    // Again, where the number is the same and something else was selected since.
    find.addEventListener("keydown", event => { if (event.key === "Enter") look(); });
  }

  // A sample that is not on the map, by its number.
  async look(find) {
    const turn = ++this.map.turn;
    try {
      const found = await this.live.json("find", { row: Number(find.value) });
      const parts = await this.live.about(found, turn);
      if (parts !== null) document.querySelector("#chosen .content").replaceChildren(...parts);
    } catch (problem) {
      if (turn !== this.map.turn) return;
      find.setCustomValidity(problem.message);
      find.reportValidity();
    }
  }

  // -- sliders ------------------------------------------------------------------------------------------

  sliders() {
    const place = document.getElementById("sliders");
    if (!place || !this.decodes) return;
    const { start, low, high, order } = this.content.sliders;
    this.start_ = Float32Array.from(start);
    this.current = Float32Array.from(start);
    this.inputs = order.map(c => {
      const label = codeword.make("label", "slider");
      const input = codeword.make("input");
      Object.assign(input, { type: "range", min: low[c], max: high[c], step: "any", value: start[c] });
      input.dataset.dimension = c;
      const output = codeword.make("output");
      label.append(codeword.make("span", "", `z${c}`), input, output);
      input.addEventListener("input", () => {
        this.current[c] = Number(input.value);
        output.textContent = this.current[c].toFixed(2);
        this.decode();
      });
      place.append(label);
      return [c, input, output];
    });
    document.getElementById("reset").addEventListener("click", () => this.slideTo(this.start_));
    this.slideTo(this.start_);
    this.decodeInto(document.querySelector("#mouse .decoded"), this.start_, "decoded");
  }

  slideTo(code) {
    if (!this.inputs) return;
    this.current = Float32Array.from(code);
    for (const [c, input, output] of this.inputs) {
      input.value = code[c];
      output.textContent = code[c].toFixed(2);
    }
    this.decode();
  }

  decode() {
    this.decodeInto(document.querySelector("#decoded .decoded"), this.current, "decoded from the sliders");
  }
};

window.addEventListener("DOMContentLoaded", () => {
  const read = id => JSON.parse(document.getElementById(id).textContent);
  codeword.page = new codeword.Page(read("content"));
  codeword.page.start();
});
