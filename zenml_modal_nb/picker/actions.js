// Buttons of the resource picker: copy the magic line, put it into a new cell, put it on top of the waiting cell.
// JupyterLab and Notebook 7 give a widget its notebook by `widget_manager.context`, which nothing documents; where it
// is missing (VS Code, Colab, a page without a kernel) the line is copied instead, and the words say so.

const VIEW = "application/vnd.jupyter.widget-view+json";
const WAITS = "Execute this cell once more: it then runs with this choice.";

const IMPOSSIBLE = "There is no line yet: something above has to change first.";
const BUSY = "Waiting for the kernel, which runs a cell or is gone …";
const MOMENT = 700; // milliseconds after which a wait is told
const STILL = 5; // pixels that a hand may move in a press

const armed = new WeakSet(); // models whose cell waits to be executed again: with what is chosen by then

function notebookOf(model) {
  const shared = model.widget_manager?.context?.model?.sharedModel;
  return typeof shared?.insertCell === "function" && shared.cells ? shared : null;
}

function indexOfCell(notebook, root) {
  return notebook.cells.findIndex((cell) =>
    (cell.getOutputs?.() ?? []).some((output) => output.data?.[VIEW]?.model_id === root)
  );
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard without https or permission: the older way.
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("aria-hidden", "true");
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

async function copied(line, then) {
  return (await copy(line)) ? `Copied: ${then}` : "This page has no clipboard: select the line above and copy it.";
}

async function insert(model, line) {
  const notebook = notebookOf(model);
  if (!notebook) return copied(line, "this front end lets no widget add a cell, so paste the line into one.");
  const at = indexOfCell(notebook, model.get("root"));
  notebook.insertCell(at < 0 ? notebook.cells.length : at + 1, { cell_type: "code", source: `${line}\n` });
  return at < 0 ? "Inserted at the end of the notebook." : "Inserted below this cell.";
}

async function run(model, line, el) {
  const notebook = notebookOf(model);
  const at = notebook ? indexOfCell(notebook, model.get("root")) : -1;
  const cell = at < 0 ? null : notebook.cells[at];
  const source = cell?.getSource() ?? "";
  if (/^\s*%%modal_pick\b/.test(source)) {
    cell.setSource(source.replace(/^\s*%%modal_pick[^\n]*/, () => line));
    // Shift+Enter is the cell's where the cursor is in it; on the button it would press the button again.
    el.closest(".jp-CodeCell")?.querySelector(".cm-content")?.focus();
    return "This cell now begins with the line. Press Shift+Enter in it to run it.";
  }
  model.send({ kind: "arm" });
  armed.add(model);
  return WAITS;
}

function button(text, title, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "jupyter-button";
  made.textContent = text;
  made.title = title;
  made.addEventListener("click", action);
  return made;
}

// In a JupyterLab notebook the arrow keys move between cells, even from a radio button, unless the focused element says
// not to; and radio buttons of ipywidgets have no name, by which a browser knows that the arrows go from one to the next.
function keepKeys(form, group, signal) {
  const focused = ({ target }) => {
    target.setAttribute("data-lm-suppress-shortcuts", "true");
    const radios = target.closest(".widget-radio-box")?.querySelectorAll("input[type=radio]") ?? [];
    for (const each of radios) each.name = group;
  };
  form.addEventListener("focusin", focused, { signal });
}

// A radio group of ipywidgets has a label beside it and no name, by which a screen reader would introduce it.
function nameGroups(form, signal) {
  const named = () => {
    if (signal.aborted) return;
    const group = form.querySelector(".widget-radio-box");
    if (!group) return requestAnimationFrame(named); // each part of the form comes by itself
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", group.parentElement.querySelector(".widget-label").textContent);
  };
  named();
}

// A field says what was typed when it loses the focus, e.g. to a button that is pressed. What comes of that, a row of
// the price, may move the button before the press is over, and a browser takes it then for no click.
function keepPresses(form, signal) {
  form.addEventListener("pointerdown", (down) => {
    const pressed = down.button === 0 && down.target.closest("button");
    if (!pressed) return;
    const over = new AbortController();
    addEventListener("pointerup", (up) => {
      over.abort();
      const still = Math.hypot(up.clientX - down.clientX, up.clientY - down.clientY) < STILL;
      if (still && !pressed.contains(up.target)) pressed.click();
    }, { signal: over.signal });
    addEventListener("pointercancel", () => over.abort(), { signal: over.signal });
  }, { signal });
}

// The kernel's line for all that the form shows. Each change is followed by two questions: a field that was changed
// again before the kernel had heard of it sends that when it has, which is before the first answer comes.
class Line {
  constructor(model) {
    this.model = model;
    this.asker = Math.random(); // the same form may be shown twice, and an answer comes to both
    this.asked = this.needed = 0;
    this.waiting = [];
  }

  get isSettled() {
    return this.needed === 0;
  }

  ask() {
    this.model.send({ kind: "line", asker: this.asker, number: ++this.asked });
  }

  changed() {
    this.ask();
    this.needed = this.asked + 1;
  }

  heard({ asker, number, line }) {
    if (asker !== this.asker || number !== this.asked) return;
    if (number < this.needed) return this.ask();
    this.needed = 0;
    for (const each of this.waiting.splice(0)) each(line);
  }

  async settled() {
    return this.isSettled ? this.model.get("line") : new Promise((resolve) => this.waiting.push(resolve));
  }
}

function render({ model, el }) {
  const said = document.createElement("span");
  said.className = "zmnb-done-text";
  said.setAttribute("role", "status");
  const spoken = document.createElement("span");
  spoken.className = "zmnb-spoken";
  spoken.setAttribute("role", "status");

  const line = new Line(model);
  let used = ""; // the line that `said` is about
  let pressed = 0;
  const does = (action) => async ({ detail }) => {
    if (detail > 1) return; // the second half of a double click
    const press = ++pressed;
    const slow = setTimeout(() => (said.textContent = BUSY), MOMENT);
    const found = await line.settled();
    clearTimeout(slow);
    if (press !== pressed) return; // pressed again while the kernel was busy: once is meant
    used = found;
    said.textContent = found ? await action(model, found, el) : IMPOSSIBLE;
  };
  const buttons = [
    button("Insert magic line", "Put the line into a new cell below this one", does(insert)),
    button("Copy", "Copy the line", does((_, found) => copied(found, "paste it on top of a cell."))),
  ];
  if (model.get("cell")) {
    buttons.push(button("Run this cell with it", "Make this cell run with this choice", does(run)));
  }
  el.classList.add("zmnb-actions");
  el.append(...buttons, said, spoken);

  const update = () => {
    // Not `disabled`: what is being typed may make the choice possible, and its button is pressed in the same moment.
    for (const each of buttons) each.setAttribute("aria-disabled", String(!model.get("line")));
    spoken.textContent = model.get("spoken");
  };
  const forget = () => {
    if (model.get("line") !== used) said.textContent = armed.has(model) ? WAITS : "";
    update();
  };
  forget();
  const over = new AbortController();
  const begin = () => {
    const { signal } = over;
    if (signal.aborted) return;
    const form = el.closest(".zmnb-picker");
    if (!form) return requestAnimationFrame(begin); // it is put into the form a little later
    keepKeys(form, `zmnb-${model.get("root")}`, signal);
    keepPresses(form, signal);
    nameGroups(form, signal);
    const changed = ({ target }) => el.contains(target) || line.changed();
    form.addEventListener("change", changed, { signal });
    form.addEventListener("click", (event) => event.target.closest("button") && changed(event), { signal });
  };
  requestAnimationFrame(begin);
  const heard = (message) => line.heard(message);
  model.on("msg:custom", heard);
  model.on("change:line", forget);
  model.on("change:spoken", update);
  return () => {
    over.abort();
    model.off("msg:custom", heard);
    model.off("change:line", forget);
    model.off("change:spoken", update);
  };
}

export default { render };
