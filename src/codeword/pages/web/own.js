// A sample of the visitor's own: drawn, uploaded, dropped or typed.

codeword.Own = class {
  constructor(page) {
    this.page = page;
    this.section = document.getElementById("own");
    this.answer = document.querySelector("#answer .content");
  }

  start() {
    const file = document.getElementById("upload");
    file.addEventListener("change", () => {
      if (file.files.length) this.send(file.files[0], { framed: false });
      file.value = "";
    });
    this.section.addEventListener("dragover", event => event.preventDefault());
    this.section.addEventListener("drop", event => {
      event.preventDefault();
      if (event.dataTransfer.files.length) this.send(event.dataTransfer.files[0], { framed: false });
    });
    const values = document.getElementById("values");
    if (values) {
      document.getElementById("show").addEventListener("click", () => this.send(new Blob([values.value]), {}));
    }
    if (document.getElementById("pad")) this.pad();
  }

  checked(id) {
    const box = document.getElementById(id);
    return box !== null && box.checked;
  }

  // The last one sent is the one that is shown, unless something else was selected in the meantime.
  async send(blob, { drawn }) {
    const mine = this.last = [blob, { drawn }];
    if (this.busy) { this.next = true; return; }
    this.busy = true;
    const turn = ++this.page.map.turn;
    const current = () => this.last === mine && turn === this.page.map.turn;
    try {
      if (blob.size > 10_000_000) throw new Error("that file is larger than 10 MB: give a smaller one");
      const wanted = { framed: this.checked("framed"), invert: !drawn && this.checked("invert") };
      const query = Object.keys(wanted).filter(name => wanted[name]).map(name => `${name}=yes`).join("&");
      const found = await this.page.live.json(`upload?${query}`, blob);
      const parts = current() || this.next ? await this.page.live.about(found, turn) : null;
      if (parts !== null && this.last !== null) this.answer.replaceChildren(...parts);
    } catch (problem) {
      if (current()) this.answer.replaceChildren(codeword.make("p", "problem", `${problem.message}.`));
    } finally {
      this.busy = false;
    }
    const more = this.next && this.last;
    this.next = false;
    if (more) this.send(...more);
  }

  // -- drawing --------------------------------------------------------------------------------------------

  pad() {
    const pad = document.getElementById("pad");
    const { width, height } = this.page.view;
    pad.height = Math.round(pad.width * height / width);
    const light = this.page.content.live.ink === "light";
    const context = pad.getContext("2d");
    const clear = () => {
      context.fillStyle = light ? "#000" : "#fff";
      context.fillRect(0, 0, pad.width, pad.height);
    };
    const at = event => {
      const box = pad.getBoundingClientRect();
      return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
    };
    Object.assign(context, { lineWidth: 0.085 * pad.width, lineCap: "round", lineJoin: "round" });
    let pen = null;
    const draw = event => {
      const place = at(event);
      context.strokeStyle = light ? "#fff" : "#000";
      context.beginPath();
      context.moveTo(...pen);
      context.lineTo(...place);
      context.stroke();
      pen = place;
      this.drawn();
    };
    clear();
    pad.addEventListener("pointerdown", event => {
      if (event.button) return;
      pad.setPointerCapture(event.pointerId);
      pen = at(event);
      draw(event);
    });
    pad.addEventListener("pointermove", event => { if (pen) draw(event); });
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { pen = null; });
    document.getElementById("clear").addEventListener("click", () => {
      clear();
      clearTimeout(this.waiting);
      Object.assign(this, { waiting: 0, next: false, last: null, sheet: {} });
      this.answer.replaceChildren(codeword.make("p", "note", this.answer.dataset.empty));
      this.page.map.select([]);
      this.page.map.selected();
    });
    for (const id of ["framed", "invert"]) {
      const box = document.getElementById(id);
      if (box) box.addEventListener("change", () => { if (this.last) this.send(...this.last); });
    }
  }

  drawn() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = 0;
      const { sheet } = this;
      document.getElementById("pad").toBlob(blob => {
        if (sheet === this.sheet) this.send(blob, { drawn: true });  // else it was cleared in the meantime
      });
    }, 60);
  }
};
