// What the panel and the log's parts of a run share, as long as one of their models is there. Stands before both
// scripts.
const shared = (run) => {
  const runs = (globalThis.zenmlModalNb ??= new Map());
  const fresh = () => ({ times: false, follow: true, query: "", models: 0, parts: new Set(), changed: new Set() });
  if (!runs.has(run)) runs.set(run, fresh());
  return runs.get(run);
};
const enter = (run) => shared(run).models++;
const leave = (run) => --shared(run).models || globalThis.zenmlModalNb.delete(run);
