// One part of a run's log while the run goes on: its first and last lines, as `lines.py` holds them. What others have
// written becomes text nodes and nothing else.

const HEAD = 200, TAIL = 800, LONGEST = 2000, MOST = 96 << 10; // as in lines.py
const SLOTS = 256; // as in live.py
const SLICE = 150; // lines drawn in one frame at most, so that none takes long
const LATER = 100; // milliseconds that a cleared log waits for what takes its place
const MOMENT = 12; // milliseconds after which a frame draws no more of them
const NEAR = 40; // pixels from the end, about two lines: while lines come nobody reaches it to the pixel
const SGR = /\x1b\[([0-9;:]*)m/g;
const NAMES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike" };
const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["reverse"], 29: ["strike"] };
const STEPS = [0, 95, 135, 175, 215, 255];

// The script is loaded once for each part: what it holds is the part's own.
const head = [], tail = [];
const open = [null, null]; // each stream's line that has no end yet
const looks = [{}, {}]; // at the end of each stream
const ended = [0, 0]; // lines of each stream that have come to their end, or were left out
const views = new Set();
let size = 0; // characters in the tail
let base = 0; // number of the tail's first line, of all that were in it
let hidden = 0; // lines of the log that stood in the tail and have left it
let gap = null; // the latest line that stands for others, which were left out on their way
let epoch = 0; // how often the log was cleared
let next = 0; // number of the piece that comes next

function piece(stream, time, text, ended) {
  let line = open[stream];
  open[stream] = null;
  if (!line) append((line = { stream, time, text: "", rewound: false, look: looks[stream], version: 0 }));
  text.split("\r").forEach((part, place) => {
    if (place) line.rewound = true;
    if (!part) return;
    const before = line.text.length;
    line.text = ending(line.rewound ? part.replace(/ +$/, "") : line.text + part);
    line.rewound = false;
    if (line.inTail) size += line.text.length - before;
  });
  line.version++;
  if (line.text.includes("\x1b")) {
    for (const [codes] of [...line.text.matchAll(SGR)].map((match) => [match[1]])) looks[stream] = after(looks[stream], codes);
  }
  if (!ended) open[stream] = line;
}

// The end of a long text, and nothing of a colour sequence that the cut went through.
function ending(text) {
  const cut = text.length - LONGEST;
  if (cut <= 0) return text;
  const begun = text.lastIndexOf("\x1b", cut - 1);
  const sequence = begun < 0 ? null : /^\x1b\[[0-9;:]*m/.exec(text.slice(begun));
  return text.slice(sequence ? Math.max(cut, begun + sequence[0].length) : cut);
}

function append(line) {
  if (head.length < HEAD && !tail.length && !hidden) {
    head.push(line);
    return;
  }
  line.inTail = true;
  size += line.text.length;
  tail.push(line);
  if (tail.length >= TAIL + 64) drop(tail.length - TAIL); // many at a time: each moves all the others
  else if (size > MOST) drop(Math.min(tail.length - 1, 64));
}

function drop(count) {
  for (const line of tail.splice(0, count)) {
    if (open[line.stream] === line) open[line.stream] = null;
    if (gap === line) gap = null;
    size -= line.text.length;
    hidden += line.gap ?? 1;
  }
  base += count;
}

function clear() {
  head.length = 0;
  base += tail.length;
  tail.length = hidden = size = 0;
  open[0] = open[1] = gap = null;
  looks[0] = looks[1] = {};
  epoch++;
}

const told = (count) => `[… ${count === 1 ? "1 line is" : `${count.toLocaleString("en")} lines are`} not shown here; the whole log is in ZenML …]`;

// Let a line stand for what has not come of a stream, so many of whose lines have ended before what comes next.
function skip(stream, before, time) {
  let count = before - ended[stream];
  if (count <= 0) return;
  ended[stream] = before;
  looks[stream] = {};
  if (open[stream]) count--; // whose end was left out
  open[stream] = null;
  if (!count) return;
  const last = tail.at(-1) ?? head.at(-1);
  if (!gap || gap !== last) append((gap = { stream: 0, time, text: "", look: {}, version: 0, gap: 0 }));
  gap.gap += count;
  if (gap.inTail) size -= gap.text.length;
  gap.text = told(gap.gap);
  if (gap.inTail) size += gap.text.length;
  gap.version++;
  for (const view of views) view.changing.add(gap);
}

function write(stream, time, text) {
  let whole = text.replaceAll("\r\n", "\n").split("\n");
  const rest = whole.pop();
  ended[stream] += whole.length;
  if (whole.length > HEAD + TAIL + 1) {
    for (const each of whole.slice(0, HEAD + 1)) piece(stream, time, each, true);
    drop(tail.length);
    hidden += whole.length - HEAD - 1 - TAIL;
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
    // The script has come too late for some: those that are left, in order. Each says how many lines were before it.
    held.length = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const each = model.get(`c${slot}`);
      if (each && each[0] >= next) held.push(each);
    }
    held.sort((one, other) => one[0] - other[0]);
  }
  for (const [number, stream, time, text, ...before] of held) {
    before.forEach((count, which) => skip(which, count, time));
    if (text === null) clear();
    else write(stream, time, text);
    next = number + 1;
  }
  if (!held.length) return;
  // What takes the place of a cleared log is on its way: nothing flickers.
  for (const view of views) epoch && !head.length ? view.later() : view.soon();
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
const matches = (line, query) => !query || (!line.gap && uncoloured(line).toLowerCase().includes(query));

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
  log.dataset.lmSuppressShortcuts = "true"; // the arrow keys are the log's own
  const [top, between, bottom] = ["", "zmnb-gap", ""].map((name) => {
    const part = document.createElement("div");
    part.className = name;
    log.append(part);
    return part;
  });
  box.append(log);
  el.append(box);

  const drawn = new WeakMap(); // a line → its node and the version that it shows
  let first = base, last = base, due = 0, late = 0, seen = epoch;

  const node = (line) => {
    const made = document.createElement("div");
    made.className = line.gap ? "zmnb-gap" : line.stream ? "zmnb-l zmnb-err" : "zmnb-l";
    made.dataset.t = new Date(line.time).toLocaleTimeString("en-GB") + "." + String(line.time % 1000).padStart(3, "0");
    fill(made, line);
    drawn.set(line, { made, version: line.version });
    hide(made, line);
    return made;
  };
  const hide = (made, line) => {
    made.hidden = !matches(line, settings.query);
  };
  const paint = () => {
    due = 0;
    if (tail.length > TAIL) drop(tail.length - TAIL);
    if (seen !== epoch) {
      seen = epoch;
      top.replaceChildren();
      bottom.replaceChildren();
      first = last = base;
    }
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
    between.textContent = hidden ? told(hidden) : "";
    if (settings.follow) toEnd();
    if (settings.query) settings.grown?.();
  };
  let end = 0; // where the log was scrolled to
  let touched = false; // a finger is on the log: to scroll then would end its own scrolling
  const toEnd = () => {
    if (touched) return;
    log.scrollTop = log.scrollHeight;
    end = log.scrollTop;
  };
  const changing = new Set();
  const view = {
    changing,
    soon: () => (due ||= requestAnimationFrame(paint)),
    later: () => {
      clearTimeout(late);
      late = setTimeout(view.soon, LATER);
    },
  };
  const apply = () => {
    log.classList.toggle("zmnb-times", settings.times);
    for (const line of [...head, ...tail]) if (drawn.has(line)) hide(drawn.get(line).made, line);
    if (settings.follow) toEnd();
  };
  const part = {
    lines: (query) => {
      const between = hidden && !query ? [{ text: told(hidden) }] : [];
      return [...head, ...between, ...tail].filter((line) => matches(line, query)).map(uncoloured);
    },
  };
  let was = 0; // where the log was when somebody had scrolled it
  const unfollow = () => {
    was = log.scrollTop;
    follow(false);
  };
  log.addEventListener("wheel", (event) => event.deltaY < 0 && unfollow(), { passive: true });
  log.addEventListener("keydown", (event) => {
    if (["ArrowUp", "PageUp", "Home"].includes(event.key)) unfollow();
    if (event.key !== "End") return;
    event.preventDefault(); // that would go to what was the end when the key was pressed
    follow(true);
  });
  log.addEventListener("scroll", () => {
    const now = log.scrollTop, left = log.scrollHeight - log.clientHeight - now;
    // Only somebody who scrolls down wants to: our own last step may be told of after a wheel has begun to turn up.
    if (!settings.follow && now > was && left <= NEAR) follow(true);
    // Further up than we have scrolled: by a bar that was dragged, or a finger.
    else if (settings.follow && now < end - 1 && left > 4) follow(false);
    was = now;
  });
  const touch = (on) => () => {
    touched = on;
    if (!on) view.soon();
  };
  log.addEventListener("touchstart", touch(true), { passive: true });
  for (const name of ["touchend", "touchcancel"]) log.addEventListener(name, touch(false), { passive: true });
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
    cancelAnimationFrame(due);
    clearTimeout(late);
  };
}

function initialize({ model }) {
  const changed = () => take(model);
  const run = model.get("run");
  enter(run);
  model.on("change", changed);
  changed();
  return () => {
    model.off("change", changed);
    clear(); // the page keeps this module for good
    views.clear();
    leave(run);
  };
}

export default { initialize, render };
