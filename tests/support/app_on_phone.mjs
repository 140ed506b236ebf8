// An app on a phone, driven by lines of JSON: the client of static/sdk as compiled, stub SDKs that send an event to their
// own server every 20 ms while they run (one of them no recipient that the gateway names), and files for the phone's
// storage and preferences.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [client, url, key, folder, tracker] = process.argv.slice(2);
const { Gateway, backoff } = await import(client);
const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
let release;
const world = { ids: [], signals: {}, assertions: [], attestations: [], loses: 0, offline: false, holds: false, ids_are: "told",
  hangs: null, fails: [], portal: false };
const may = (what) => {
  if (world.fails.includes(what)) throw new Error(`${what} fails`);
};

const stub = (name) => {
  let running;
  return {
    start(how) {
      say("start", { name, how });
      if (world.hangs === name) return new Promise(() => {});
      running = setInterval(() => void globalThis.fetch(`${tracker}/${name}`).catch(() => {}), 20);
    },
    stop() {
      clearInterval(running);
      say("stop", { name });
      may("stop");
    },
  };
};
const write = (file, text) => {
  writeFileSync(`${folder}/${file}.new`, text);
  renameSync(`${folder}/${file}.new`, `${folder}/${file}`);
};
const read = (file) => {
  try {
    return readFileSync(`${folder}/${file}`, "utf8");
  } catch {
    return null;
  }
};
const preferences = JSON.parse(read("preferences") ?? "{}");

const gateway = new Gateway({
  url, key,
  storage: { read: async () => read("storage"), write: async (text) => write("storage", text) },
  preferences: async (keys) => {
    for (const [name, value] of Object.entries(keys)) {
      if (value === null) delete preferences[name];
      else preferences[name] = value;
    }
    write("preferences", JSON.stringify(preferences));
  },
  sdks: { teemo: stub("teemo"), flurry: stub("flurry"), unnamed: stub("unnamed") },
  identifiers: async () => {
    if (world.ids_are === "late") await new Promise(() => {});
    if (world.ids_are === "refused") throw new Error("the platform says no");
    return world.ids;
  },
  signals: async () => world.signals,
  assertion: async () => world.assertions.shift() ?? null,
  attestation: async () => world.attestations.shift() ?? null,
  place: () => may("place") ?? "US-CA",
  alarm: (what, status) => may("alarm") ?? say("alarm", { what, status }),
  fetch: (...call) => may("fetch") ?? fetched(...call),
});
async function fetched(...call) {
  if (world.offline) throw new Error("no network");
  if (world.portal) {
    say("portal");
    return new Response("<title>We are back soon</title>");
  }
  const { holds } = world; // as it is when the call goes out, however long that takes
  const response = await globalThis.fetch(...call);
  if (holds) {
    say("held");
    await new Promise((then) => (release = then));
  }
  if (world.loses-- > 0) throw new Error("the answer was lost");
  say("answer", { path: call[0].slice(url.length), status: response.status });
  return response;
}

const DO = {
  start: () => gateway.start(),
  observe: () => gateway.observe(),
  optOut: ({ purposes }) => gateway.optOut(purposes),
  optIn: ({ purpose, notice, who }) => gateway.optIn(purpose, notice, who),
  confirm: ({ token, notice }) => gateway.confirm(token, notice),
  waiting: () => gateway.waiting(),
  mayAskFrom: () => gateway.mayAskFrom(),
  webView: async ({ cookie }) => {
    const order = [];
    const made = cookie ? Promise.resolve(cookie) : Promise.reject(new Error("no cookie"));
    try {
      await gateway.webView(made, async () => void order.push("set"), () => order.push("load"));
    } catch {
      order.push("refused");
    }
    return order;
  },
  backoff: () => [0, 1, 2, 11, 12, 40].map(backoff),
  release: () => release(),
  world: ({ to }) => void Object.assign(world, to),
};

say("here");
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  // Not awaited in order: an app goes on while the gateway is silent.
  Promise.resolve(DO[command.do](command)).then(
    (value) => say("done", { number: command.number, value: value ?? null }),
    (error) => say("done", { number: command.number, refused: error.kind ?? String(error) }),
  );
}
