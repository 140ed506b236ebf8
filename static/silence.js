// Makes a page silent that was there before its visitor's no was, or came without the policy of delivery: consent.js loads
// it where the operator has [site] enforce, and shows "Honored" only after it. The policy is put in at once; service
// workers from before are ended, with the pages that they keep; then the page is loaded anew, for what runs already
// (frames, workers, open sockets) obeys no later policy. It asks again when another tab, a new route or the site itself
// may have changed what holds. It keeps one word in the browser: that all this was done.
const KEPT = "gateway-silent";
const ROOM = new URL(".", import.meta.url).pathname;
const OURS = `${location.pathname}/`.startsWith(ROOM); // a page of the gateway's own talks to nobody
const HOME = new URL(import.meta.url).origin; // another one where a site's page has the script from another of its hosts
const [{ type } = {}] = performance.getEntriesByType("navigation");
let put = false; // whether this page was given the policy by script
let wasFree = false; // whether this page was open while nothing was denied
let told = false; // whether the site's other tabs were

// Storage may be missing, shut or full: then everything is done on each page.
const BROWSER = "localStorage";
const TAB = "sessionStorage";
const safely = (act) => {
  try {
    return act();
  } catch {}
};
const kept = (kind) => safely(() => self[kind][KEPT]);
const keep = (kind, word) => safely(() => ((self[kind][KEPT] = word), true));
const forget = (kind) => safely(() => delete self[kind][KEPT]);

// A dialog of ours over the page, or closed with a choice on its way: nothing is loaded anew, and a form that is sent is a
// no until the page knows better. A consent.js from a cache may have given the frame no name.
const dialog = () => document.querySelector("dialog[open] > iframe, #gateway-choices");

// From now on no element and no script of this page loads anything from elsewhere. Frames that it wrote itself have a
// policy of their own; those of others are asked for again, which the policy refuses.
const hush = ({ policy }) => {
  if (put || OURS) return;
  put = true;
  const content = policy.replaceAll("'self'", HOME === location.origin ? "'self'" : `'self' ${HOME}`);
  hushPage(document, content);
};
const hushPage = (page, content) => {
  for (const each of page.querySelectorAll("script[type=speculationrules], object, embed")) each.remove();
  page.head?.append(Object.assign(page.createElement("meta"), { httpEquiv: "Content-Security-Policy", content }));
  for (const frame of page.querySelectorAll("iframe, frame")) {
    if (frame === dialog()) continue;
    if (frame.contentDocument) hushPage(frame.contentDocument, content);
    else if (frame.src) frame.src += "";
  }
};

// A policy as browsers tell it: some leave out what they do not know, and write 'self' as the origin.
const plain = (policy) =>
  policy.replace(/webrtc[^;]*/, "").replaceAll(location.origin, "'self'").split(/[\s;]+/).filter(Boolean).sort().join(" ");
// Whether the page came with the policy: a base of another host is refused then, and nothing is asked for.
const delivered = (policy) =>
  new Promise((done) => {
    const seen = ({ originalPolicy }) => plain(originalPolicy) === plain(policy) && done(true);
    const probe = Object.assign(document.createElement("base"), { href: "https://policy.invalid/" });
    document.addEventListener("securitypolicyviolation", seen);
    document.head.prepend(probe);
    const free = document.baseURI === probe.href;
    probe.remove();
    setTimeout(() => {
      document.removeEventListener("securitypolicyviolation", seen);
      done(false);
    }, free ? 0 : 1000); // the site's own policy may forbid it too
  });

// Ends the service workers that are not named, and takes away the pages that they kept: those have no policy. Whether
// this page is one of theirs.
const registered = async () => navigator.serviceWorker?.getRegistrations();
const endWorkers = async (named) => {
  const found = (await registered().catch(() => {})) || []; // shut: there are none
  const path = (worker) => worker && new URL(worker.scriptURL).pathname; // one that is just being made has none yet
  const others = found.filter(({ active, waiting, installing }) => !named.includes(path(active || waiting || installing)));
  if (!others.length) return false;
  await Promise.all(others.map((each) => each.unregister()));
  if (others.length === found.length) for (const name of await caches.keys()) await caches.delete(name);
  const { controller } = navigator.serviceWorker;
  return !!controller && !named.includes(path(controller));
};
// A worker that was ended lives for as long as another tab is its own, and a page that registers it again brings it back:
// so for a while each page ends it, a few times a tab. What is registered later has the policy.
const WHILE = 10_000; // milliseconds
const workersAreDue = (came) => OURS || !came || !(Date.now() - parseInt(kept(BROWSER)) > WHILE);

// Loads the page anew; whether it does. Not without end, whatever it is told each time (first yes, then no, and kept by no
// cookie): a few times a tab until a page comes with the policy. After that it is silent by script alone. A page that is
// the answer to a form is asked for by its address, and the form not sent again: with an entry of the history that a
// script wrote goes no form. The prototype's way, for a site's trackers put their own before it.
const TIMES = 3;
let going = false;
const anew = () => {
  const times = kept(TAB) | 0;
  if (!going && times < TIMES && (keep(TAB, times + 1) || type !== "reload")) {
    going = true;
    safely(() => History.prototype.replaceState.call(history, history.state, "", location.href)); // some browsers count
    location.reload();
  }
  return going;
};

// A form that is sent in the dialog is a no. A consent.js from a cache does not say "gateway-sends".
const sends = () => wasFree && hush(enforced);
const watchDialog = ({ target }) => {
  if (target === dialog()) target.contentDocument?.addEventListener("submit", sends);
};

let enforced; // what the gateway said last
const tabs = safely(() => new BroadcastChannel("gateway")); // pages of this site in other tabs
const watch = (ask) => {
  let path = location.pathname;
  const again = () => dialog() || ask();
  if (tabs) tabs.onmessage = again;
  document.addEventListener("gateway-sends", sends);
  document.addEventListener("load", watchDialog, true);
  document.addEventListener("gateway-ask", again); // the site's own script knows of something new: a sign-in
  document.addEventListener("prerenderingchange", again); // made before somebody came to it
  self.navigation?.addEventListener("currententrychange", () => {
    if (path !== (path = location.pathname)) again(); // another page to whoever looks at it
  });
};

// Whether the page is silent now; false: it is being loaded anew, at once or when the dialog is closed, or a worker goes on.
export const silence = async (said, ask) => {
  if (!enforced) watch(ask);
  enforced = said;
  const { policy, service_workers, now } = said;
  if (!now) {
    wasFree = true;
    forget(BROWSER);
    if (put) dialog() || anew(); // the no did not come about
    return !put;
  }
  const came = OURS || (!put && (await delivered(policy)));
  if (!came) hush(said);
  const ended = workersAreDue(came) && (await endWorkers(service_workers).catch(() => null));
  const alone = kept(BROWSER)?.endsWith("alone"); // no policy comes: never again by itself
  const due = came ? ended && !OURS : ended || wasFree || (type !== "reload" && !alone);
  if (came && !ended && !wasFree) forget(TAB);
  if (!came && !wasFree && type === "reload") keep(BROWSER, `${Date.now()} alone`);
  else if (!kept(BROWSER)) keep(BROWSER, Date.now());
  if (wasFree || (OURS && !told)) tabs?.postMessage("");
  told = true;
  wasFree = !!(due && dialog()); // then when that is closed
  const loads = wasFree || (due && anew());
  return !loads && ended !== null;
};
