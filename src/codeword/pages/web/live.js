// Questions to the server of a live page, and what comes of them.

codeword.Live = class {
  constructor(page) {
    this.page = page;
    this.known = new globalThis.Map();
    this.wanted = [];
    this.decoding = new WeakMap();
    this.key = new URLSearchParams(location.search).get("key");
  }

  // An answer as it came, or an Error with one line of what was wrong.
  async ask(path, body) {
    const plain = body instanceof Blob || typeof body === "string";
    let answer;
    try {
      const sent = plain ? body : JSON.stringify(body);
      answer = await fetch(`/api/${path}`, { method: "POST", body: sent, headers: { "X-Key": this.key } });
    } catch {
      this.lost = true;
      this.say("The explorer does not answer. Is codeword explore still running?");
      throw new Error("no answer");
    }
    if (this.lost) this.say("");
    this.lost = false;
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      throw new Error(said.error || `the explorer answered with ${answer.status}`);
    }
    return answer;
  }

  async json(path, body) { return (await this.ask(path, body)).json(); }

  say(problem) {
    const place = document.getElementById("problem");
    place.hidden = !problem;
    place.textContent = problem;
  }

  // -- decoding -----------------------------------------------------------------------------------------

  async decode(codes) {
    const lists = codes.map(code => Array.from(code));
    const rows = new Float32Array(await (await this.ask("decode", { codes: lists })).arrayBuffer());
    const d = rows.length / codes.length;
    return codes.map((_, i) => rows.subarray(i * d, (i + 1) * d));
  }

  // The last code asked for in a place is the one that is shown: those a fast mouse leaves behind are not sent.
  async decodeInto(place, code, name) {
    const busy = this.decoding.get(place);
    if (busy) { busy.next = code; return; }
    const state = { next: code };
    this.decoding.set(place, state);
    while (state.next) {
      const now = state.next;
      state.next = null;
      try {
        const [row] = await this.decode([now]);
        this.page.view.show(place, row, name);
        if (this.failed) this.say("");
        this.failed = false;
      } catch (problem) {
        this.failed = !this.lost;
        if (!this.lost) this.say(problem.message);
      }
    }
    this.decoding.delete(place);
  }

  // -- samples ------------------------------------------------------------------------------------------

  // An element that a sample's pictures come into.
  picture(row, small) {
    const place = codeword.make("div", "arriving");
    this.sample(row).then(
      ({ album, at }) => place.replaceChildren(...album.draw(at, small)),
      problem => place.replaceChildren(codeword.make("p", "note", problem.message)));
    return place;
  }

  // All that are asked for at about the same time travel together.
  sample(row) {
    if (!this.known.has(row)) {
      if (this.known.size > 4000) this.known.clear();
      this.known.set(row, new Promise((resolve, reject) => {
        this.wanted.push({ row, resolve, reject });
      }));
      if (!this.fetching) {
        this.fetching = true;
        setTimeout(() => this.fetch(), 5);
      }
    }
    return this.known.get(row);
  }

  async fetch() {
    while (this.wanted.length) {
      const some = this.wanted.splice(0, 64);
      try {
        const packed = await this.json("samples", { rows: some.map(one => one.row) });
        const album = await new codeword.Album(packed, this.page.view).ready();
        some.forEach((one, at) => one.resolve({ album, at }));
      } catch (problem) {
        for (const { row, reject } of some) {
          this.known.delete(row);
          reject(problem);
        }
      }
    }
    this.fetching = false;
  }

  // -- what is said of one sample -----------------------------------------------------------------------

  // Pictures, metrics and neighbors of a sample that is no point of the map; its place is marked there. Null
  // where something else has been selected since it was asked for, at the turn `turn`.
  async about(found, turn) {
    const { map } = this.page;
    const album = await new codeword.Album(found.album, this.page.view).ready();
    if (turn !== map.turn) return null;
    const pictures = codeword.make("div", "tiles");
    pictures.append(...album.draw(0));
    const parts = [codeword.make("p", "title", `${found.title} · error ${codeword.short(found.error)}`), pictures];
    parts.push(codeword.make("p", "p-value", this.rarity(found)));
    if (found.neighbors.length) {
      parts.push(codeword.make("p", "preserved", "Its nearest codes on the map, between which it is placed:"));
      parts.push(map.strip(found.neighbors, null));
    }
    const code = Array.from(found.code, (v, i) => `z${i} ${v.toFixed(2)}`).join("  ");
    const details = codeword.make("details");
    details.append(codeword.make("summary", "", "its code"), codeword.make("p", "code", code));
    parts.push(details);
    map.unselect();
    map.mark(found.place, found.neighbors, found.neighbors.map(() => "#4477AA"));
    this.page.slideTo(found.code);
    return parts;
  }

  rarity({ p_value: p, held }) {
    if (p === null) return "No p-value: the model held no samples out from training to compare with.";
    const what = p <= 0.01 ? "unusual" : p <= 0.05 ? "rather unusual" : "usual";
    const others = held === 1 ? "the one sample" : `${held.toLocaleString("en")} samples`;
    return `p-value ${codeword.short(p)}: ${what} beside ${others} held out from training`;
  }

  // -- clusters and files ---------------------------------------------------------------------------------

  async cluster() {
    const field = document.getElementById("clusters");
    const mine = this.clustering = {};
    const { clusters } = await this.json("clusters", { count: Number(field.value) });
    if (mine !== this.clustering) return;
    this.page.map.cluster = clusters;
    const counts = [];
    for (const c of clusters) counts[c] = (counts[c] || 0) + 1;
    const legend = document.querySelector('.legend[data-of="cluster"]');
    legend.replaceChildren(...counts.map((count, c) => {
      const entry = codeword.make("span");
      entry.append(codeword.make("i"), `${c + 1}: ${count.toLocaleString("en")}`);
      return entry;
    }));
    this.page.palette();
    this.clustered = counts.length;
  }

  async download(format) {
    const places = this.page.map.selection;
    const answer = await this.ask("table", { format, places, clusters: this.clustered || null });
    const link = codeword.make("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `selection.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  start() {
    const field = document.getElementById("clusters");
    const color = document.getElementById("color");
    const cluster = () => {
      field.closest("label").hidden = color.value !== "cluster";
      if (color.value !== "cluster") return;
      this.cluster().then(
        () => field.setCustomValidity(""),
        problem => { field.setCustomValidity(problem.message); field.reportValidity(); });
    };
    color.addEventListener("change", cluster);
    field.addEventListener("change", cluster);
    for (const button of document.querySelectorAll("[data-download]")) {
      button.addEventListener("click", () => {
        this.download(button.dataset.download).catch(problem => this.say(problem.message));
      });
    }
    this.counted();
    this.page.map.listeners.push(() => this.counted());
    new codeword.Own(this.page).start();
  }

  counted() {
    const count = this.page.map.selection.length || this.page.map.n;
    document.getElementById("to-download").textContent =
      count === this.page.map.n ? `all ${count.toLocaleString("en")}` : `${count.toLocaleString("en")} selected`;
  }
};
