// Puts the page together: figures, galleries, sliders, colours.
"use strict";
var codeword = window.codeword || (window.codeword = {});

codeword.on = function (kind, plot, event) {
  const page = codeword.page;
  if (page && page.map) page.map[kind](plot, event);
};

codeword.Page = class {
  constructor(content) {
    this.content = content;
    this.view = new codeword.View(content.view, content.scale);
    this.decoder = content.decoder === null ? null : new codeword.Decoder(content.decoder);
    this.albums = {};
    for (const [name, packed] of Object.entries(content.albums)) {
      this.albums[name] = new codeword.Album(packed, this.view);
    }
  }

  model(name) { return this.document.get_model_by_name(name); }

  async start(figures, items) {
    await Promise.all(Object.values(this.albums).map(album => album.ready()));
    this.galleries();
    await Bokeh.embed.embed_items(figures, items);
    this.document = Bokeh.documents[Bokeh.documents.length - 1];
    this.map = new codeword.Map(this);
    this.map.selected();
    this.sliders();
    this.choices();
    this.paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
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

  // Dark colours stand out on a light page only: on a dark one they are made lighter.
  lighter(colour) {
    const channels = [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));
    const light = (0.3 * channels[0] + 0.59 * channels[1] + 0.11 * channels[2]) / 255;
    const share = Math.max(0, 0.55 * (1 - light / 0.45));
    return `rgb(${channels.map(c => Math.round(c + (255 - c) * share)).join(" ")})`;
  }

  palette() {
    const mapper = this.model("by_label");
    if (!this.content.points.classes.length) return;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.colours = this.colours || Array.from(mapper.palette);
    const shown = this.colours.map(colour => {
      const text = typeof colour === "number" ? `#${(colour >>> 8).toString(16).padStart(6, "0")}` : colour;
      return dark ? this.lighter(text) : text;
    });
    mapper.palette = shown;
    document.querySelectorAll('.legend[data-of="label"] i').forEach((dot, i) => {
      dot.style.background = shown[i];
    });
  }

  // Bokeh draws on a canvas, which style sheets do not reach.
  paint() {
    this.palette();
    const style = getComputedStyle(document.documentElement);
    const colour = style.getPropertyValue("--text-soft").trim();
    for (const root of this.document.roots()) {
      for (const axis of [...root.below, ...root.left]) {
        axis.major_label_text_color = axis.axis_label_text_color = colour;
      }
      for (const part of root.center) if (part.type === "Legend") part.label_text_color = colour;
    }
  }

  choices() {
    const colour = document.getElementById("colour");
    colour.addEventListener("change", () => {
      const dots = this.model("map").renderers.find(renderer => renderer.name === "dots");
      const by = { field: colour.value, transform: this.model(`by_${colour.value}`) };
      for (const glyph of [dots.glyph, dots.selection_glyph, dots.nonselection_glyph]) glyph.fill_color = by;
      for (const legend of document.querySelectorAll(".legend")) {
        legend.hidden = legend.dataset.of !== colour.value;
      }
    });
    const find = document.getElementById("find");
    find.addEventListener("change", () => {
      const { n } = this.map;
      let place = -1;
      for (let i = 0; i < n && place < 0; i++) if (this.map.row(i) === Number(find.value)) place = i;
      const found = find.value !== "" && place >= 0;
      find.setCustomValidity(found || find.value === "" ? "" : "not on the map");
      find.reportValidity();
      this.map.select(found ? [place] : []);
    });
  }

  // -- sliders ------------------------------------------------------------------------------------------

  sliders() {
    const place = document.getElementById("sliders");
    if (!place || !this.decoder) return;
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
    this.view.show(document.querySelector("#mouse .decoded"), this.decoder.run(this.start_), "decoded");
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
    const row = this.decoder.run(this.current);
    this.view.show(document.querySelector("#decoded .decoded"), row, "decoded from the sliders");
  }
};

window.addEventListener("DOMContentLoaded", () => {
  const read = id => JSON.parse(document.getElementById(id).textContent);
  codeword.page = new codeword.Page(read("content"));
  codeword.page.start(read("figures"), read("items"));
});
