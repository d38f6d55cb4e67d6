// The panel of a run while it goes on. All that it shows comes as words from `live.py` and becomes text nodes.

const shared = (run) => {
  const runs = (globalThis.zenmlModalNb ??= new Map());
  if (!runs.has(run)) runs.set(run, { times: false, follow: true, query: "", parts: new Set(), changed: new Set() });
  return runs.get(run);
};

const NO_ANSWER = 3000; // milliseconds after which the kernel counts as out of reach
const GREETINGS = 8; // within that time
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
  const text = () => [...settings.parts].map((part) => part.text()).join("\n");
  const copy = button("Copy", "Copy the lines that are shown", async () => {
    try {
      await navigator.clipboard.writeText(text());
      told.textContent = "copied";
    } catch {
      told.textContent = "the browser does not let this page copy; select the lines instead";
    }
  });
  let pieces = null; // of the log file that is coming
  let wait = 0;
  const download = button("Download", "Save the whole log", () => {
    pieces = [];
    model.send({ kind: "log" });
    told.textContent = "asking for the whole log …";
    wait = setTimeout(() => {
      pieces = null;
      save([text()], "log.txt");
      told.textContent = `saved what is shown; the whole log is ${model.get("face").log || "in ZenML"}`;
    }, NO_ANSWER);
  });
  tools.append(search, times, follow, copy, download, told);
  search.addEventListener("input", () => {
    settings.query = search.value.toLowerCase();
    changed();
    const found = [...settings.parts].reduce((sum, part) => sum + part.matches(), 0);
    told.textContent = settings.query ? `${found} ${found === 1 ? "line" : "lines"}` : "";
  });
  // Keys typed here are for this field, not for the notebook's shortcuts.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const pressed = () => {
    times.setAttribute("aria-pressed", settings.times);
    follow.setAttribute("aria-pressed", settings.follow);
  };

  let reached = false;
  const deaf = "To stop, interrupt the kernel (■)";
  stop.disabled = true;
  stop.addEventListener("click", () => {
    stop.disabled = true;
    stop.textContent = "Stopping …";
    model.send({ kind: "stop" });
  });
  // The front end's subshell begins with its first message, which itself still waits for the cell: so several.
  let asked = 0;
  const asking = setInterval(() => {
    if (++asked < GREETINGS) return model.send({ kind: "hello" });
    stop.textContent = deaf;
    clearInterval(asking);
  }, NO_ANSWER / GREETINGS);
  const heard = (message, buffers) => {
    if (message.kind === "hello" && !reached) {
      reached = true;
      clearInterval(asking);
      stop.disabled = false;
      stop.textContent = "Stop";
    } else if (message.kind === "log" && pieces) {
      clearTimeout(wait);
      if (message.first) pieces = [];
      pieces.push(...buffers);
      if (!message.last) return;
      save(pieces, "log.txt");
      pieces = null;
      told.textContent = "saved";
    }
  };

  let at = performance.now();
  let phase = "";
  const tick = () => {
    const face = model.get("face");
    const since = face.since === null ? null : face.since + (performance.now() - at) / 1000;
    const limit = face.timeout ? ` of ${clock(face.timeout)}` : "";
    state.textContent = since === null ? face.doing : `${face.doing} ${clock(since)}${limit}`;
    if (face.timeout && since !== null) bar.firstChild.style.width = `${Math.min(100, (100 * since) / face.timeout)}%`;
  };
  const draw = () => {
    const face = model.get("face");
    at = performance.now();
    root.setAttribute("aria-label", `Modal step ${face.name}`);
    name.textContent = face.name;
    cost.textContent = face.cost;
    if (face.phase !== phase) {
      phase = face.phase;
      spoken.textContent = `${face.name}: ${face.doing}`;
    }
    facts.replaceChildren(...face.lines.map((line) => made("div", "zmnb-facts", line)));
    use.replaceChildren(
      ...face.use.map((each) => {
        const one = made("span", "zmnb-use");
        one.append(each.label, " ", sparkline(each), each.told);
        return one;
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
  settings.changed.add(pressed);
  pressed();
  draw();
  model.send({ kind: "hello" });
  const ticking = setInterval(tick, 500);
  return () => {
    clearInterval(ticking);
    clearInterval(asking);
    clearTimeout(wait);
    model.off("change:face", draw);
    model.off("msg:custom", heard);
    settings.changed.delete(pressed);
  };
}

export default { render };
