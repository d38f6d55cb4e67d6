// One part of a run's log while the run goes on: its first and last lines, as `lines.py` holds them. What others have
// written becomes text nodes and nothing else.

const HEAD = 200, TAIL = 800, LONGEST = 2000; // as in lines.py
const SLOTS = 256; // as in live.py
const SLICE = 150; // lines drawn in one frame at most, so that none takes long
const MOMENT = 12; // milliseconds after which a frame draws no more of them
const SGR = /\x1b\[([0-9;:]*)m/g;
const NAMES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike" };
const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["reverse"], 29: ["strike"] };
const STEPS = [0, 95, 135, 175, 215, 255];

// The script is loaded once for each part: what it holds is the part's own.
const head = [], tail = [];
const open = [null, null]; // each stream's line that has no end yet
const looks = [{}, {}]; // at the end of each stream
const views = new Set();
let base = 0; // lines that have left the tail
let next = 0; // number of the piece that comes next

const shared = (run) => {
  const runs = (globalThis.zenmlModalNb ??= new Map());
  if (!runs.has(run)) runs.set(run, { times: false, follow: true, query: "", parts: new Set(), changed: new Set() });
  return runs.get(run);
};

function piece(stream, time, text, ended) {
  let line = open[stream];
  open[stream] = null;
  if (!line) append((line = { stream, time, text: "", rewound: false, look: looks[stream], version: 0 }));
  text.split("\r").forEach((part, place) => {
    if (place) line.rewound = true;
    if (!part) return;
    line.text = (line.rewound ? part.trimEnd() : line.text + part).slice(-LONGEST);
    line.rewound = false;
  });
  line.version++;
  if (line.text.includes("\x1b")) {
    for (const [codes] of [...line.text.matchAll(SGR)].map((match) => [match[1]])) looks[stream] = after(looks[stream], codes);
  }
  if (!ended) open[stream] = line;
}

function append(line) {
  if (head.length < HEAD && !tail.length && !base) {
    head.push(line);
    return;
  }
  tail.push(line);
  if (tail.length >= TAIL + 64) drop(tail.length - TAIL); // many at a time: each moves all the others
}

function drop(count) {
  for (const line of tail.splice(0, count)) if (open[line.stream] === line) open[line.stream] = null;
  base += count;
}

function write(stream, time, text) {
  let whole = text.replaceAll("\r\n", "\n").split("\n");
  const rest = whole.pop();
  if (whole.length > HEAD + TAIL + 1) {
    for (const each of whole.slice(0, HEAD + 1)) piece(stream, time, each, true);
    base += whole.length - HEAD - 1 - TAIL;
    whole = whole.slice(-TAIL);
  }
  for (const each of whole) piece(stream, time, each, true);
  if (rest) piece(stream, time, rest, false);
}

function take(model) {
  const held = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    const each = model.get(`c${(next + slot) % SLOTS}`);
    if (!each || each[0] < next) break;
    held.push(each);
  }
  if (held.length && held[0][0] !== next) {
    // The script has come too late for some: those that are left, in order.
    held.length = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const each = model.get(`c${slot}`);
      if (each && each[0] >= next) held.push(each);
    }
    held.sort((one, other) => one[0] - other[0]);
    write(0, Date.now(), "[… the lines before are not shown here …]\n");
  }
  for (const [number, stream, time, text] of held) {
    write(stream, time, text);
    next = number + 1;
  }
  if (held.length) for (const view of views) view.soon();
}

function after(look, codes) {
  look = { ...look, names: new Set(look.names) };
  const numbers = codes.split(/[;:]/).slice(0, 32).map((each) => Number(each.slice(0, 4)) || 0);
  while (numbers.length) {
    const code = numbers.shift();
    if (code === 0) look = { names: new Set() };
    else if (NAMES[code]) look.names.add(NAMES[code]);
    else if (ENDS[code]) ENDS[code].forEach((name) => look.names.delete(name));
    else if (code === 38) look.front = extended(numbers);
    else if (code === 48) look.back = extended(numbers);
    else if (code === 39) look.front = undefined;
    else if (code === 49) look.back = undefined;
    else if (code >= 30 && code < 38) look.front = code - 30;
    else if (code >= 90 && code < 98) look.front = code - 82;
    else if (code >= 40 && code < 48) look.back = code - 40;
    else if (code >= 100 && code < 108) look.back = code - 92;
  }
  return look;
}

function extended(numbers) {
  const kind = numbers.shift();
  if (kind === 2 && numbers.length >= 3) return `rgb(${numbers.splice(0, 3).map((each) => Math.min(255, each)).join()})`;
  if (kind !== 5 || !numbers.length) return undefined;
  const number = Math.min(255, numbers.shift());
  if (number < 16) return number;
  if (number >= 232) return `rgb(${Array(3).fill(8 + 10 * (number - 232)).join()})`;
  const cube = number - 16;
  return `rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((each) => STEPS[each]).join()})`;
}

function fill(node, line) {
  node.replaceChildren();
  let look = line.look, start = 0;
  const add = (text) => {
    if (!text) return;
    const plain = look.front === undefined && look.back === undefined && !look.names?.size;
    if (plain) return node.append(text);
    const span = document.createElement("span");
    span.textContent = text;
    for (const name of look.names ?? []) span.classList.add(`zmnb-${name}`);
    if (typeof look.front === "number") span.classList.add(`zmnb-f${look.front}`);
    else if (look.front) span.style.color = look.front;
    if (typeof look.back === "number") span.classList.add(`zmnb-b${look.back}`);
    else if (look.back) span.style.backgroundColor = look.back;
    node.append(span);
  };
  for (const match of line.text.matchAll(SGR)) {
    add(line.text.slice(start, match.index));
    look = after(look, match[1]);
    start = match.index + match[0].length;
  }
  add(line.text.slice(start));
}

const uncoloured = (line) => line.text.replace(SGR, "");
const gap = () => (base ? `[… ${base.toLocaleString("en")} lines are not shown here …]` : "");

function render({ model, el }) {
  const settings = shared(model.get("run"));
  const box = document.createElement("div");
  box.className = "zmnb-box";
  const log = document.createElement("div");
  log.className = "zmnb-log";
  log.tabIndex = 0;
  log.setAttribute("role", "log");
  log.setAttribute("aria-live", "off"); // a flood read aloud helps nobody; the panel says how the run goes
  log.setAttribute("aria-label", "Log");
  const [top, between, bottom] = ["", "zmnb-gap", ""].map((name) => {
    const part = document.createElement("div");
    part.className = name;
    log.append(part);
    return part;
  });
  box.append(log);
  el.append(box);

  const drawn = new WeakMap(); // a line → its node and the version that it shows
  let first = base, last = base, due = 0;

  const node = (line) => {
    const made = document.createElement("div");
    made.className = line.stream ? "zmnb-l zmnb-err" : "zmnb-l";
    made.dataset.t = new Date(line.time).toLocaleTimeString("en-GB") + "." + String(line.time % 1000).padStart(3, "0");
    fill(made, line);
    drawn.set(line, { made, version: line.version });
    hide(made, line);
    return made;
  };
  const hide = (made, line) => {
    made.hidden = !!settings.query && !uncoloured(line).toLowerCase().includes(settings.query);
  };
  const paint = () => {
    due = 0;
    if (tail.length > TAIL) drop(tail.length - TAIL);
    const until = performance.now() + MOMENT;
    let left = SLICE;
    const room = () => left-- > 0 && performance.now() < until;
    for (let at = top.childElementCount; at < head.length && room(); at++) top.append(node(head[at]));
    for (; first < base && bottom.firstChild; first++) bottom.firstChild.remove();
    first = base;
    last = Math.max(last, base);
    const fresh = document.createDocumentFragment();
    const end = base + tail.length;
    for (; last < end && (fresh.firstChild === null || room()); last++) fresh.append(node(tail[last - base]));
    bottom.append(fresh);
    if (last < end || top.childElementCount < head.length) view.soon();
    for (const line of [...changing, ...open]) {
      const shown = line && drawn.get(line);
      if (shown && shown.version !== line.version) {
        fill(shown.made, line);
        hide(shown.made, line);
        shown.version = line.version;
      }
    }
    changing.clear();
    open.forEach((line) => line && changing.add(line)); // it may get its end before the next time
    between.textContent = gap();
    if (settings.follow) log.scrollTop = log.scrollHeight;
  };
  const changing = new Set();
  const view = { soon: () => (due ||= requestAnimationFrame(paint)) };
  const apply = () => {
    log.classList.toggle("zmnb-times", settings.times);
    for (const line of [...head, ...tail]) if (drawn.has(line)) hide(drawn.get(line).made, line);
    if (settings.follow) log.scrollTop = log.scrollHeight;
  };
  const part = {
    text: () => [...head.map(uncoloured), ...(base ? [gap()] : []), ...tail.map(uncoloured)].join("\n"),
    matches: () => [...head, ...tail].filter((line) => uncoloured(line).toLowerCase().includes(settings.query)).length,
  };
  log.addEventListener("wheel", (event) => event.deltaY < 0 && follow(false), { passive: true });
  log.addEventListener("keydown", (event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && follow(false));
  log.addEventListener("scroll", () => {
    if (settings.follow) return; // our own, and to ask where it is would lay everything out
    if (log.scrollTop + log.clientHeight >= log.scrollHeight - 4) follow(true);
  });
  const follow = (on) => {
    settings.follow = on;
    for (const each of settings.changed) each();
  };
  views.add(view);
  settings.parts.add(part);
  settings.changed.add(apply);
  apply();
  view.soon();
  return () => {
    views.delete(view);
    settings.parts.delete(part);
    settings.changed.delete(apply);
    if (!settings.parts.size && !settings.changed.size) globalThis.zenmlModalNb.delete(model.get("run"));
    cancelAnimationFrame(due);
  };
}

function initialize({ model }) {
  const changed = () => take(model);
  model.on("change", changed);
  changed();
  return () => model.off("change", changed);
}

export default { initialize, render };
