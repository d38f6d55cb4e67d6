// Buttons of the resource picker: copy the magic line, put it into a new cell, put it on top of the waiting cell.
// JupyterLab and Notebook 7 give a widget its notebook by `widget_manager.context`, which nothing documents; where it
// is missing (VS Code, Colab, a page without a kernel) the line is copied instead, and the words say so.

const VIEW = "application/vnd.jupyter.widget-view+json";
const WAITS = "Execute this cell once more: it then runs with this choice.";

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

async function insert(model) {
  const line = model.get("line");
  const notebook = notebookOf(model);
  if (!notebook) return copied(line, "this front end lets no widget add a cell, so paste the line into one.");
  const at = indexOfCell(notebook, model.get("root"));
  notebook.insertCell(at < 0 ? notebook.cells.length : at + 1, { cell_type: "code", source: `${line}\n` });
  return at < 0 ? "Inserted at the end of the notebook." : "Inserted below this cell.";
}

async function run(model) {
  const line = model.get("line");
  const notebook = notebookOf(model);
  const at = notebook ? indexOfCell(notebook, model.get("root")) : -1;
  const cell = at < 0 ? null : notebook.cells[at];
  const source = cell?.getSource() ?? "";
  if (/^\s*%%modal_pick\b/.test(source)) {
    cell.setSource(source.replace(/^\s*%%modal_pick[^\n]*/, () => line));
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
function keepKeys(el, group) {
  const focused = ({ target }) => {
    target.setAttribute("data-lm-suppress-shortcuts", "true");
    const radios = target.closest(".widget-radio-box")?.querySelectorAll("input[type=radio]") ?? [];
    for (const each of radios) each.name = group;
  };
  requestAnimationFrame(() => el.closest(".zmnb-picker")?.addEventListener("focusin", focused));
}

function render({ model, el }) {
  const said = document.createElement("span");
  said.className = "zmnb-done-text";
  said.setAttribute("role", "status");
  const spoken = document.createElement("span");
  spoken.className = "zmnb-spoken";
  spoken.setAttribute("role", "status");

  const does = (action) => async () => {
    said.textContent = await action(model);
  };
  const buttons = [
    button("Insert magic line", "Put the line into a new cell below this one", does(insert)),
    button(
      "Copy",
      "Copy the line",
      does(() => copied(model.get("line"), "paste it on top of a cell."))
    ),
  ];
  if (model.get("cell")) {
    buttons.push(button("Run this cell with it", "Make this cell run with this choice", does(run)));
  }
  el.classList.add("zmnb-actions");
  el.append(...buttons, said, spoken);

  const update = () => {
    for (const each of buttons) each.disabled = !model.get("line");
    spoken.textContent = model.get("spoken");
  };
  const forget = () => {
    said.textContent = armed.has(model) ? WAITS : "";
    update();
  };
  forget();
  keepKeys(el, `zmnb-${model.get("root")}`);
  model.on("change:line", forget);
  model.on("change:spoken", update);
  return () => {
    model.off("change:line", forget);
    model.off("change:spoken", update);
  };
}

export default { render };
