// From the code of one sample to that of another, in steps.

codeword.Between = class {
  constructor(page) {
    this.page = page;
    this.section = document.getElementById("between");
    this.ends = { from: 0, to: page.map.n - 1 };
    this.steps = page.view.kind === "table" ? 5 : 9;  // rows of a table are wide
  }

  start() {
    if (!this.section) return;
    this.share = document.getElementById("share");
    if (this.share) this.share.addEventListener("input", () => this.step());
    this.show();
  }

  set(end, i) {
    this.ends[end] = i;
    this.show();
  }

  code(share) {
    const { map } = this.page;
    const one = map.code(this.ends.from), other = map.code(this.ends.to);
    return one.map((v, c) => (1 - share) * v + share * other[c]);
  }

  show() {
    for (const [end, i] of Object.entries(this.ends)) {
      const card = this.section.querySelector(`[data-end="${end}"]`);
      const pictures = codeword.make("div", "tiles");
      pictures.append(...this.page.map.picture(i, true));
      card.querySelector(".content").replaceChildren(pictures,
        codeword.make("figcaption", "", this.page.map.title(i)));
    }
    this.strip();
    this.step();
  }

  async strip() {
    const shares = Array.from({ length: this.steps }, (_, s) => s / (this.steps - 1));
    const mine = this.asked = {};
    let rows;
    try {
      rows = await this.page.decodeAll(shares.map(share => this.code(share)));
    } catch (problem) {
      if (!this.page.live.lost) this.page.live.say(problem.message);
      return;
    }
    if (mine !== this.asked) return;
    const words = shares.map(share => `${Math.round(100 * share)} %`);
    const strip = this.section.querySelector(".steps");
    if (this.page.view.kind === "table") return strip.replaceChildren(this.page.view.table(rows, words));
    strip.replaceChildren(...rows.map((row, s) => {
      const place = codeword.make("div");
      this.page.view.show(place, row, `${words[s]} of the way`);
      return place;
    }));
  }

  step() {
    if (!this.share) return;
    const share = Number(this.share.value);
    this.page.decodeInto(this.section.querySelector(".decoded"), this.code(share), "on the way");
    this.section.querySelector(".share-of").textContent = `${Math.round(100 * share)} % of the way`;
  }
};
