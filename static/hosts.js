// Which hosts this page talked to, told to the gateway when the page is left: names alone, without path or query, and
// without a cookie (gateway help script). consent.js loads it where the operator has [site] inventory on.
let told;
const tell = () => {
  const names = performance.getEntriesByType("resource").map(({ name }) => new URL(name).hostname);
  const hosts = [...new Set(names)].filter((host) => host && host !== location.hostname).slice(0, 64);
  if (told || !hosts.length) return;
  told = true;
  const headers = { "Content-Type": "application/json" };
  const post = { method: "POST", headers, keepalive: true, credentials: "omit", body: JSON.stringify({ hosts }) };
  fetch(new URL("hosts", import.meta.url), post).catch(() => {}); // the next page says it again
};
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && tell());
addEventListener("pagehide", tell); // where leaving hides nothing first
