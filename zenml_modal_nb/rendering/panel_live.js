// The panel of a run while it goes on. All that it shows comes as words from `live.py` and becomes text nodes.

const NO_ANSWER = 3000; // milliseconds after which the kernel counts as out of reach
const GREETINGS = 8; // within that time
const SILENCE = 30000; // milliseconds without a word of the kernel, which gives a sign of life every ten seconds
const ENDS = ["done", "failed", "stopped"];
const SVG = "http://www.w3.org/2000/svg";

function made(kind, name, text = "") {
  const node = document.createElement(kind);
  node.className = name;
  node.textContent = text;
  return node;
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function sparkline({ samples, top }) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ class: "zmnb-spark", viewBox: "0 0 60 16", width: 60, height: 16, "aria-hidden": true })) {
    svg.setAttribute(name, value);
  }
  const highest = Math.max(top, 0.001, ...samples);
  const y = (value) => (15 - (14 * value) / highest).toFixed(1);
  const asked = document.createElementNS(SVG, "path");
  asked.setAttribute("class", "zmnb-asked");
  asked.setAttribute("d", `M0 ${y(top)}H60`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", samples.map((value, n) => `${((n * 60) / Math.max(1, samples.length - 1)).toFixed(1)},${y(value)}`).join(" "));
  svg.append(asked, line);
  return svg;
}

// Have something read aloud that stands on the page no more: a status that is filled after it was put there.
function announce(text) {
  const status = document.createElement("div");
  status.setAttribute("role", "status");
  status.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)";
  document.body.append(status);
  setTimeout(() => (status.textContent = text), 100);
  setTimeout(() => status.remove(), 10000);
}

// Give the focus, when what had it is replaced, to what has come in its place.
function handOver(area, wanted, left = 100) {
  const active = document.activeElement;
  const next = [...area.querySelectorAll(wanted)].at(-1);
  if (active && active !== document.body && !area.contains(active)) return; // somebody has gone elsewhere
  if ((!active || active === document.body) && next) {
    if (!next.hasAttribute("tabindex")) next.tabIndex = -1;
    next.focus({ preventScroll: true });
  } else if (left) setTimeout(handOver, 50, area, wanted, left - 1);
}

function save(blobParts, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(blobParts, { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function render({ model, el }) {
  const settings = shared(model.get("run"));
  const root = made("div", "zmnb zmnb-live");
  root.setAttribute("role", "group");
  const top = made("div", "zmnb-top");
  const [name, state, cost] = [made("span", "zmnb-name"), made("span", "zmnb-state"), made("span", "zmnb-cost")];
  const stop = made("button", "zmnb-stop", "Stop");
  stop.type = "button";
  top.append(name, state, cost, stop);
  const bar = made("div", "zmnb-bar");
  bar.append(made("div", ""));
  const [facts, use, links] = [made("div", ""), made("div", "zmnb-facts"), made("div", "zmnb-end")];
  const spoken = made("span", "zmnb-sr"); // the phase alone: a clock read aloud every second helps nobody
  spoken.setAttribute("role", "status");
  spoken.setAttribute("aria-live", "polite");

  const tools = made("div", "zmnb-tools");
  tools.setAttribute("role", "toolbar");
  tools.setAttribute("aria-label", "Log");
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search log";
  search.setAttribute("aria-label", "Search the log");
  const button = (text, title, act) => {
    const each = made("button", "", text);
    each.type = "button";
    each.title = title;
    each.addEventListener("click", act);
    return each;
  };
  const told = made("span", "zmnb-said");
  told.setAttribute("role", "status");
  const changed = () => {
    for (const each of settings.changed) each();
  };
  const times = button("Times", "Show when each line came", () => {
    settings.times = !settings.times;
    changed();
  });
  const follow = button("Follow", "Keep the last line in view", () => {
    settings.follow = !settings.follow;
    changed();
  });
  const lines = (query) => [...settings.parts].flatMap((part) => part.lines(query));
  const copy = button("Copy", "Copy the lines that are shown", async () => {
    settings.grown = null;
    try {
      await navigator.clipboard.writeText(lines(settings.query).join("\n"));
      told.textContent = "copied";
    } catch {
      told.textContent = "the browser does not let this page copy; select the lines instead";
    }
  });
  const file = () => `${model.get("face").name.replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[.-]+/, "") || "modal"}-log.txt`;
  let pieces = null; // of the log file that is coming
  let wait = 0;
  const download = button("Download", "Save the whole log", () => {
    pieces = [];
    settings.grown = null;
    model.send({ kind: "log" });
    told.textContent = "asking for the whole log …";
    wait = setTimeout(() => {
      pieces = null;
      save([lines("").join("\n")], file());
      told.textContent = `saved what is shown; the whole log is ${model.get("face").log || "in ZenML"}`;
    }, NO_ANSWER);
  });
  tools.append(search, times, follow, copy, download, told);
  const count = () => {
    const found = settings.query ? lines(settings.query).length : 0;
    const said = settings.query ? `${found} ${found === 1 ? "line" : "lines"}` : "";
    if (told.textContent !== said) told.textContent = said;
  };
  search.addEventListener("input", () => {
    settings.search = search.value;
    settings.query = search.value.toLowerCase();
    settings.grown = count; // until something else is said there
    changed();
    count();
  });
  // A page that its cell clears shows this panel anew.
  search.value = settings.search ?? "";
  if (settings.grown) settings.grown = count;
  search.addEventListener("focus", () => (settings.focused = true));
  search.addEventListener("blur", () => setTimeout(() => search.isConnected && (settings.focused = false)));
  if (settings.focused) requestAnimationFrame(() => document.activeElement === document.body && search.focus({ preventScroll: true }));
  // Keys typed here are for this field, not for the notebook's shortcuts.
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const pressed = () => {
    times.setAttribute("aria-pressed", settings.times);
    follow.setAttribute("aria-pressed", settings.follow);
  };

  const label = () => {
    stop.disabled = settings.stop !== "can" || silent;
    const texts = { stopping: "Stopping …", deaf: "To stop, interrupt the kernel (■)" };
    stop.textContent = texts[settings.stop] ?? "Stop";
  };
  let stopping = 0;
  stop.addEventListener("click", () => {
    settings.stop = "stopping";
    label();
    stopping = setTimeout(() => {
      settings.stop = "deaf";
      label();
    }, NO_ANSWER);
    model.send({ kind: "stop" });
  });
  // The front end's subshell begins with its first message, which itself still waits for the cell: so several.
  let asked = 0;
  const asking = setInterval(() => {
    if (!settings.stop && ++asked < GREETINGS) return model.send({ kind: "hello" });
    settings.stop ??= "deaf";
    label();
    clearInterval(asking);
  }, NO_ANSWER / GREETINGS);
  const heard = (message, buffers) => {
    alive();
    if (message.kind === "hello") {
      clearInterval(asking);
      if (!settings.stop || settings.stop === "deaf") settings.stop = "can";
      label();
    } else if (message.kind === "stopping") {
      clearTimeout(stopping);
      settings.stop = "stopping";
      label();
    } else if (message.kind === "log" && pieces) {
      clearTimeout(wait);
      if (message.first) pieces = [];
      pieces.push(...buffers);
      if (!message.last) return;
      save(pieces, file());
      pieces = null;
      told.textContent = "saved";
    }
  };

  let at = performance.now();
  let phase = "";
  let heardAt = performance.now(), heardOn = new Date(), lost = false, silent = false;
  const alive = () => {
    heardAt = performance.now();
    heardOn = new Date();
    lost = false;
    if (silent) tick();
  };
  const quiet = () => {
    const now = lost || performance.now() - heardAt > SILENCE;
    if (now === silent) return now;
    silent = now;
    root.classList.toggle("zmnb-live", !silent);
    label();
    const face = model.get("face");
    spoken.textContent = silent ? `no word from the kernel since ${heardOn.toLocaleTimeString("en-GB")}` : `${face.name}: ${face.doing}`;
    if (silent) state.textContent = spoken.textContent;
    return silent;
  };
  // The front end has lost the kernel, or found it again.
  const connected = () => {
    lost = !lost;
    tick();
  };
  const tick = () => {
    if (quiet()) return;
    const face = model.get("face");
    const since = face.since === null ? null : face.since + (performance.now() - at) / 1000;
    const limit = face.timeout ? ` of ${clock(face.timeout)}` : "";
    state.textContent = since === null ? face.doing : `${face.doing} ${clock(since)}${limit}`;
    if (face.timeout && since !== null) bar.firstChild.style.width = `${Math.min(100, (100 * since) / face.timeout)}%`;
  };
  const draw = () => {
    const face = model.get("face");
    at = performance.now();
    alive();
    root.setAttribute("aria-label", `Modal step ${face.name}`);
    name.textContent = face.name;
    cost.textContent = face.cost;
    if (face.phase !== phase) {
      phase = face.phase;
      spoken.textContent = `${face.name}: ${face.doing}`;
      if (ENDS.includes(phase)) {
        announce(spoken.textContent);
        const area = root.closest(".jp-OutputArea");
        const wanted = area?.querySelector(".zmnb-log") ? "pre.zmnb-log" : ".zmnb:not([data-lm-suppress-shortcuts])";
        if (area?.contains(document.activeElement)) handOver(area, wanted);
      }
    }
    facts.replaceChildren(...face.lines.map((line) => made("div", "zmnb-facts", line)));
    use.replaceChildren(
      ...face.use.flatMap((each, place) => {
        const one = made("span", "zmnb-use");
        one.append(each.label, " ", sparkline(each), each.told);
        return place ? [" · ", one] : [one];
      }),
    );
    links.replaceChildren(
      ...face.links.map(([label, url]) => {
        const link = made("a", "", `open in ${label}`);
        if (/^https?:\/\//.test(url)) link.href = url;
        link.target = "_blank";
        link.rel = "noopener";
        return link;
      }),
    );
    const unknown = face.share !== null && face.share < 0;
    bar.hidden = face.share === null && !face.timeout;
    bar.classList.toggle("zmnb-unknown", unknown);
    bar.firstChild.style.width = unknown ? "" : `${100 * (face.share ?? 0)}%`;
    tick();
  };
  root.append(top, bar, facts, use, links, tools, spoken);
  el.append(root);
  model.on("change:face", draw);
  model.on("msg:custom", heard);
  model.on("comm_live_update", connected);
  settings.changed.add(pressed);
  pressed();
  label();
  draw();
  model.send({ kind: "hello" });
  const ticking = setInterval(tick, 500);
  return () => {
    clearInterval(ticking);
    clearInterval(asking);
    clearTimeout(wait);
    clearTimeout(stopping);
    model.off("change:face", draw);
    model.off("msg:custom", heard);
    model.off("comm_live_update", connected);
    settings.changed.delete(pressed);
  };
}

function initialize({ model }) {
  const run = model.get("run");
  enter(run);
  return () => leave(run);
}

export default { initialize, render };
