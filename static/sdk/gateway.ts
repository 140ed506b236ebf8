// The consent gateway in a React Native app. It depends on nothing: storage, fetch and SDKs are handed in.
// It asks before an SDK starts and obeys (R8): until the gateway has answered, offline, and from the moment somebody
// opts out, every SDK is stopped. An opt-out is durable before it is sent, denies at once, and is repeated with the
// same key until it was taken; an opt-in is never queued. It decides nothing by itself, and sends nothing of an SDK's.

/** What an IAB key holds, with its type; null: remove it. */
export type Value = string | number | null;
export type Keys = Record<string, Value>;
export type Json = Record<string, unknown>;
export interface Identifier { type: string; value: string; source?: string }
export interface Notice { sha256: string; language?: string; ui?: string }
export interface Cookie { name: string; value: string; attributes: string; host: string }
/** What survives the app; on iOS the keychain, which survives a reinstall, too. */
export interface Storage {
  read(): Promise<string | null>;
  write(text: string): Promise<void>;
}
/** An SDK of the app, told what it may do: `gateway help sdks` has the code for those that are asked for most. */
export interface Sdk {
  /** limited: without ad id and precise location; an SDK that cannot do without them does not start. */
  start(how: "start" | "limited"): void | Promise<void>;
  /** Also when it is not running: shut down, delete its stored id. */
  stop(): void | Promise<void>;
}
export interface Response { status: number; json(): Promise<unknown> }
export interface Request { method: string; headers: Record<string, string>; body: string }
export type Fetch = (url: string, request: Request) => Promise<Response>;
export interface Clock { now(): number; wait(milliseconds: number, then: () => void): void }
export interface Options {
  /** https://privacy.example.com */
  url: string;
  /** A publishable one. */
  key: string;
  storage: Storage;
  /** NSUserDefaults, or Android's default SharedPreferences. */
  preferences(keys: Keys): Promise<void>;
  /** By the recipient's name. */
  sdks: Record<string, Sdk>;
  /** The ad id as it is, zeros too; IDFV or app-set id; who is signed in. */
  identifiers(): Promise<Identifier[]>;
  /** att, lmt, age_bracket */
  signals?(): Promise<Json>;
  /** A fresh one from your backend, while somebody is signed in. */
  assertion?(): Promise<string | null>;
  /** A fresh one from your backend, once it has looked at this phone and its ids. */
  attestation?(): Promise<string | null>;
  place?(): string | string[] | null;
  /** To your own error reports; never with personal data. */
  alarm?(what: string, status?: number): void;
  fetch?: Fetch;
  clock?: Clock;
  /** A random name of an act. */
  id?(): string;
}
interface Act { id: string; body: string; made: number; tries: number; due: number; stuck: boolean }
interface State { device: string | null; out: Keys; queue: Act[] }
interface Answer extends Told { events?: unknown[]; sdks?: Record<string, string>; confirm?: string }
interface Told { device?: string; store?: Keys; store_opted_out?: Keys }

declare const setTimeout: (then: () => void, milliseconds: number) => unknown;
declare const fetch: Fetch;

const SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR;
const PATIENCE = 30 * DAY; // how long an act is repeated; after that it is tried at each start (api.md)
const OBSERVE = 2 * SECOND, CHOOSE = 10 * SECOND; // how long an answer is waited for (I34)
const TAKEN = [200, 201, 202];
const OWN_FAULT = [400, 401, 403, 413, 415, 422]; // repeating does not help: tell somebody, and keep the choice
// What holds of everybody before an answer: `x-until-first-answer` of /openapi.json.
export const UNTIL_FIRST_ANSWER: Keys = {
  "IABGPP_8_String": null, "IABGPP_9_String": null, "IABGPP_10_String": null, "IABGPP_11_String": null,
  "IABGPP_12_String": null, "IABGPP_13_String": null, "IABGPP_14_String": null, "IABGPP_15_String": null,
  "IABGPP_16_String": null, "IABGPP_17_String": null, "IABGPP_18_String": null, "IABGPP_19_String": null,
  "IABGPP_20_String": null, "IABGPP_21_String": null, "IABGPP_22_String": null, "IABGPP_23_String": null,
  "IABGPP_24_String": null, "IABGPP_25_String": null, "IABGPP_26_String": null, "IABGPP_27_String": null,
  "IABGPP_HDR_Version": "1", "IABGPP_HDR_GppString": "DBABLA~CVVVAAEAAACA.QA", "IABGPP_HDR_Sections": "7",
  "IABGPP_GppSID": "7", "IABGPP_7_String": "CVVVAAEAAACA.QA", "IABUSPrivacy_String": "1YYN", "gad_rdp": 1,
};

export class Refused extends Error {
  readonly kind: string;
  constructor(kind: string) { super(kind); this.kind = kind; }
}

export class Gateway {
  private readonly options: Options;
  private readonly clock: Clock;
  private state: State = { device: null, out: UNTIL_FIRST_ANSWER, queue: [] };
  private wanted: Record<string, string> = {}; // what each SDK may do; nothing said: stop
  private running: Record<string, string> = {};
  private starting: Record<string, string> = {}; // whose start is under way, and how
  private turns: Record<string, Promise<void>> = {}; // each SDK is told one thing after the other
  private saving: Promise<void> = Promise.resolve();
  private writing: Promise<void> = Promise.resolve(); // of preferences
  private ids: Identifier[] = []; // as they were last told
  private acts = 0; // how often somebody chose since the start: an older answer says nothing any more
  private draining = false;
  private begun = false; // before `start` nothing opens: an app may still be asking for what it puts into `signals`
  private lost = 0; // observations that were not answered, one after the other
  private timers = 0; // of drains: the newest counts
  private again = false; // whether an observation is to be repeated already
  private unread = true; // what is on the phone was not read yet, so nothing is written over it
  private ready: Promise<void>;

  constructor(options: Options) {
    this.options = options;
    this.clock = options.clock ?? { now: () => Date.now(), wait: (ms, then) => void setTimeout(then, ms) };
    this.ready = this.load();
  }

  /** At each start of the app; no SDK starts before. Resolves when the gateway answered or could not; never rejects. */
  async start(): Promise<void> {
    await this.ready;
    this.begun = true;
    for (const act of this.state.queue) { act.stuck = false; act.due = 0; } // a new version may have mended it
    await this.drain();
    await this.observe();
  }

  /** In the background now and then: at sign-in, when the app comes to the front, when the network is back. */
  async observe(): Promise<void> {
    await this.ready;
    const acts = this.acts;
    const proof = await this.proofs();
    const body = { ...await this.shown(), signals: await this.soon(() => this.options.signals?.(), {}) ?? {}, proof };
    const response = await this.post("/v1/observe", JSON.stringify(body), {}, OBSERVE);
    if (response && TAKEN.includes(response.status)) {
      this.lost = 0;
      await this.obey(await answer(response), acts);
      return;
    }
    if (response && OWN_FAULT.includes(response.status)) return this.alarm("observe", response.status);
    if (this.again) return;
    this.again = true;
    this.clock.wait(backoff(this.lost++), () => {
      this.again = false;
      void this.observe();
    });
  }

  /** Somebody opts out. Resolves when that is durable on the phone and each SDK was told to stop; it sends itself. */
  async optOut(purposes: string[] = ["all"]): Promise<void> { return this.choose("opt_out", purposes); }

  /** Somebody limits the use of sensitive information. */
  async limit(): Promise<void> { return this.choose("limit", ["sensitive"]); }

  /** How many choices wait to be sent. */
  async waiting(): Promise<number> { await this.ready; return this.state.queue.length; }

  /** From when each purpose may be asked about: null at once, else a day. Null as a whole: nobody knows, do not ask. */
  async mayAskFrom(): Promise<Record<string, string | null> | null> {
    await this.ready;
    const proof = await this.proofs();
    const response = await this.post("/v1/standing", JSON.stringify({ ...await this.shown(), proof }), {}, OBSERVE);
    if (response?.status !== 200) return null;
    const said = await answer(response) as { device?: string; may_ask_from?: Record<string, string | null> };
    await this.keep(said);
    return said.may_ask_from ?? null;
  }

  /**
   * The first act of opting in: the token that `confirm` takes. `who`: the account, or ids of this phone: what no
   * attestation shows of these is opened in this app alone. The precise location wants an attestation.
   */
  async optIn(purpose: string, notice: Notice, who: Identifier[], more: Json = {}): Promise<string> {
    const said = await this.open({ choice: "opt_in", purposes: [purpose], identifiers: who, notice, ...more });
    if (typeof said.confirm !== "string") throw new Refused("malformed");
    return said.confirm;
  }

  /** The second act, on a screen of its own. */
  async confirm(token: string, notice: Notice): Promise<void> {
    await this.open({ choice: "confirm", confirm: token, notice });
    await this.observe(); // of all the ids of the phone, with its signals, which are not read beside a choice
  }

  /** The site in a web view: your backend's cookie for it is set before the first load. */
  async webView(cookie: Promise<Cookie>, set: (cookie: Cookie) => Promise<void>, load: () => void): Promise<void> {
    await set(await cookie);
    load();
  }

  // --- what is sent ---

  private async shown(): Promise<Json> {
    const identifiers = this.ids = await this.soon(this.options.identifiers, this.ids);
    return { identifiers, place: await this.place(), device: this.state.device, source: "sdk" };
  }

  private place(): Promise<string | string[] | null> {
    return this.soon<string | string[] | null>(() => this.options.place?.(), null);
  }

  /** What shows who is signed in, and whose phone this is. */
  private async proofs(): Promise<Json[]> {
    const assertion = await this.soon<string | null>(() => this.options.assertion?.(), null);
    const token = await this.soon<string | null>(() => this.options.attestation?.(), null);
    const account = assertion ? [{ kind: "account", assertion }] : [];
    return token ? [...account, { kind: "attestation", token }] : account;
  }

  /** What the app answers, in time; a platform's call that hangs or fails holds no choice up. */
  private soon<T>(ask: () => Promise<T> | T | undefined, otherwise: T): Promise<T> {
    const late = new Promise<T>((over) => this.clock.wait(OBSERVE, () => over(otherwise)));
    return Promise.race([quietly(ask, otherwise), late]);
  }

  private async choose(choice: string, purposes: string[]): Promise<void> {
    await this.ready;
    this.acts++;
    this.want({}); // before anything that may take its time
    const made = this.clock.now();
    const body = JSON.stringify({ ...await this.shown(), choice, purposes, made_at: new Date(made).toISOString() });
    this.state.queue.push({ id: this.id(), body, made, tries: 0, due: 0, stuck: false });
    await this.save();
    const written = this.put(() => this.state.out);
    void this.drain(); // waits for no SDK
    await written;
    await this.told();
  }

  /** Opening is never queued: no answer is a refusal, and so is an opt-out of this phone that still waits. */
  private async open(body: Json): Promise<Answer> {
    await this.ready;
    if (this.state.queue.length) throw new Refused("superseded");
    const proof = [...await this.proofs(), { kind: "device", token: this.state.device }];
    const sent = { place: await this.place(), device: this.state.device, proof, ...body };
    const made = { ...sent, source: "sdk", made_at: new Date(this.clock.now()).toISOString() };
    const response = await this.post("/v1/choices", JSON.stringify(made), { "Idempotency-Key": this.id() }, CHOOSE);
    if (!response) throw new Refused("no_answer");
    if (!TAKEN.includes(response.status)) throw new Refused(await kindOf(response));
    const said = await answer(response);
    await this.keep(said);
    return said;
  }

  /** Sends what waits, one after the other, and comes back for what was not taken. */
  private async drain(): Promise<void> {
    if (this.draining) return;
    this.draining = true;
    try {
      for (const act of [...this.state.queue]) {
        if (!act.stuck && act.due <= this.clock.now()) await this.send(act);
      }
    } finally {
      this.draining = false;
    }
    const due = this.state.queue.filter((act) => !act.stuck).map((act) => act.due - this.clock.now());
    const timer = ++this.timers;
    if (due.length) {
      const next = Math.min(Math.max(Math.min(...due), 0), HOUR); // a clock that was put back holds nothing up
      this.clock.wait(next, () => void (timer === this.timers && this.drain()));
    }
  }

  private async send(act: Act): Promise<void> {
    const response = await this.post("/v1/choices", act.body, { "Idempotency-Key": act.id }, CHOOSE);
    const said = response && TAKEN.includes(response.status) ? await answer(response) : null;
    if (said?.events) { // and no page of something in front, which would be 200, too
      this.state.queue = this.state.queue.filter((each) => each !== act);
      await this.save();
      await this.keep(said);
      if (!this.state.queue.length && this.begun) await this.observe(); // what runs, by its signals, too
      return;
    }
    const kind = response && OWN_FAULT.includes(response.status) ? await kindOf(response) : "";
    if (kind === "idempotency_mismatch") act.id = this.id();
    else if (kind) {
      act.stuck = true;
      this.alarm("choice", response?.status);
    } else {
      act.due = this.clock.now() + backoff(act.tries++);
      if (this.clock.now() - act.made > PATIENCE) {
        act.stuck = true;
        this.alarm("choice not sent for 30 days");
      }
    }
    await this.save();
  }

  private async post(path: string, body: string, more: Record<string, string>, wait: number): Promise<Response | null> {
    const headers = { Authorization: `Bearer ${this.options.key}`, "Content-Type": "application/json", ...more };
    const request = { method: "POST", headers, body };
    const asked = quietly<Response | null>(() => (this.options.fetch ?? fetch)(this.options.url + path, request), null);
    const late = new Promise<null>((over) => this.clock.wait(wait, () => over(null)));
    return Promise.race([asked, late]);
  }

  // --- what is obeyed ---

  /** An answer that is older than a choice of this phone, or while one still waits, opens nothing. */
  private async obey(said: Answer, acts: number): Promise<void> {
    await this.keep(said);
    if (!this.begun || acts !== this.acts || this.state.queue.length) return;
    const store = said.store;
    if (store) await this.put(() => acts === this.acts ? store : null);
    if (acts === this.acts) this.want(said.sdks ?? {});
    await this.told();
  }

  private async keep(said: Answer): Promise<void> {
    if (typeof said.device === "string") this.state.device = said.device;
    if (said.store_opted_out) this.state.out = said.store_opted_out;
    await this.save();
  }

  /** What each SDK may do from now on. Of several wishes the last one counts. */
  private want(sdks: Record<string, string>): void {
    this.wanted = sdks;
    for (const [name, sdk] of Object.entries(this.options.sdks)) {
      // A start may take as long as it likes: it is stopped at once, and again when it is over.
      if ((this.starting[name] ?? this.how(name)) !== this.how(name)) {
        this.running[name] = "stop"; // so that whatever is wanted by then begins with a stop
        void quietly(() => sdk.stop(), undefined);
      }
      this.turns[name] = (this.turns[name] ?? Promise.resolve()).then(() => this.tell(name, sdk));
    }
  }

  private how(name: string): "start" | "limited" | "stop" {
    const word = this.wanted[name];
    return word === "start" || word === "limited" ? word : "stop";
  }

  private async tell(name: string, sdk: Sdk): Promise<void> {
    const how = this.how(name); // read now: a choice may have come in between
    if (how === this.running[name] && how !== "stop") return;
    try {
      if (how === "stop" || this.running[name]) await sdk.stop(); // from start to limited by way of stop
      delete this.running[name];
      if (how !== "stop" && this.how(name) === how) {
        this.running[name] = this.starting[name] = how;
        await sdk.start(how);
      }
    } catch {
      this.alarm(`sdk ${name}`);
    } finally {
      delete this.starting[name];
    }
  }

  /** Once each SDK did what it was told; for one that hangs nobody waits. */
  private async told(): Promise<void> { await this.soon<unknown>(() => Promise.all(Object.values(this.turns)), null); }

  // --- what is kept on the phone ---

  private async load(): Promise<void> {
    let text: string | null;
    try {
      text = await this.options.storage.read();
      this.unread = false;
    } catch {
      return this.alarm("storage"); // tried again before anything is written
    }
    try {
      const { queue, ...rest } = JSON.parse(text ?? "{}") as Partial<State>;
      const waits = new Set(this.state.queue.map((act) => act.id));
      const older = (queue ?? []).filter((act) => !waits.has(act.id));
      this.state = { ...this.state, ...rest, queue: [...older, ...this.state.queue] };
    } catch {
      this.alarm("storage");
    }
    if (!text || this.state.queue.length) await this.put(() => this.state.out); // or it was killed before it wrote them
  }

  private save(): Promise<void> {
    this.saving = this.saving.then(async () => {
      if (this.unread) await this.load();
      if (this.unread) return;
      try {
        await this.options.storage.write(JSON.stringify(this.state));
      } catch {
        this.alarm("storage");
      }
    });
    return this.saving;
  }

  /** Preferences, one after the other; what is to be written is asked for when its turn comes. */
  private put(keys: () => Keys | null): Promise<void> {
    this.writing = this.writing.then(async () => {
      const now = keys();
      try {
        if (now) await this.options.preferences(now);
      } catch {
        this.alarm("preferences");
      }
    });
    return this.writing;
  }

  private alarm(what: string, status?: number): void {
    void quietly(async () => this.options.alarm?.(what, status), undefined); // one that fails holds nothing up
  }

  private id(): string {
    if (this.options.id) return this.options.id();
    const part = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
    return part() + part() + part() + part(); // a name, no secret
  }
}

/** 1 s, doubling to 1 h. */
export function backoff(tries: number): number { return Math.min(SECOND * 2 ** Math.min(tries, 12), HOUR); }

async function quietly<T>(ask: () => Promise<T> | T | undefined, otherwise: T): Promise<T> {
  try {
    return await ask() ?? otherwise;
  } catch {
    return otherwise;
  }
}

async function answer(response: Response): Promise<Answer> {
  const said = await quietly(() => response.json(), {});
  return (typeof said === "object" && said !== null ? said : {}) as Answer;
}

async function kindOf(response: Response): Promise<string> {
  const said = await quietly(() => response.json(), {}) as { type?: string };
  return String(said?.type ?? "malformed").split(":").pop() ?? "malformed";
}
