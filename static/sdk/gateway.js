// The consent gateway in a React Native app. It depends on nothing: storage, fetch and SDKs are handed in.
// It asks before an SDK starts and obeys (R8): until the gateway has answered, offline, and from the moment somebody
// opts out, every SDK is stopped. An opt-out is durable before it is sent, denies at once, and is repeated with the
// same key until it was taken; an opt-in is never queued. It decides nothing by itself, and sends nothing of an SDK's.
const SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR;
const PATIENCE = 30 * DAY; // how long an act is repeated; after that it is tried at each start (api.md)
const OBSERVE = 2 * SECOND, CHOOSE = 10 * SECOND; // how long an answer is waited for (I34)
const TAKEN = [200, 201, 202];
const OWN_FAULT = [400, 401, 403, 413, 415, 422]; // repeating does not help: tell somebody, and keep the choice
// What holds of everybody before an answer: `x-until-first-answer` of /openapi.json.
export const UNTIL_FIRST_ANSWER = {
    "IABGPP_8_String": null, "IABGPP_9_String": null, "IABGPP_10_String": null, "IABGPP_11_String": null,
    "IABGPP_12_String": null, "IABGPP_13_String": null, "IABGPP_14_String": null, "IABGPP_15_String": null,
    "IABGPP_16_String": null, "IABGPP_17_String": null, "IABGPP_18_String": null, "IABGPP_19_String": null,
    "IABGPP_20_String": null, "IABGPP_21_String": null, "IABGPP_22_String": null, "IABGPP_23_String": null,
    "IABGPP_24_String": null, "IABGPP_25_String": null, "IABGPP_26_String": null, "IABGPP_27_String": null,
    "IABGPP_HDR_Version": "1", "IABGPP_HDR_GppString": "DBABLA~CVVVAAEAAACA.QA", "IABGPP_HDR_Sections": "7",
    "IABGPP_GppSID": "7", "IABGPP_7_String": "CVVVAAEAAACA.QA", "IABUSPrivacy_String": "1YYN", "gad_rdp": 1,
};
export class Refused extends Error {
    kind;
    constructor(kind) { super(kind); this.kind = kind; }
}
export class Gateway {
    options;
    clock;
    state = { device: null, out: UNTIL_FIRST_ANSWER, queue: [] };
    wanted = {}; // what each SDK may do; nothing said: stop
    running = {};
    starting = {}; // whose start is under way, and how
    turns = {}; // each SDK is told one thing after the other
    saving = Promise.resolve();
    writing = Promise.resolve(); // of preferences
    ids = []; // as they were last told
    acts = 0; // how often somebody chose since the start: an older answer says nothing any more
    draining = false;
    begun = false; // before `start` nothing opens: an app may still be asking for what it puts into `signals`
    lost = 0; // observations that were not answered, one after the other
    timers = 0; // of drains: the newest counts
    again = false; // whether an observation is to be repeated already
    unread = true; // what is on the phone was not read yet, so nothing is written over it
    ready;
    constructor(options) {
        this.options = options;
        this.clock = options.clock ?? { now: () => Date.now(), wait: (ms, then) => void setTimeout(then, ms) };
        this.ready = this.load();
    }
    /** At each start of the app; no SDK starts before. Resolves when the gateway answered or could not; never rejects. */
    async start() {
        await this.ready;
        this.begun = true;
        for (const act of this.state.queue) {
            act.stuck = false;
            act.due = 0;
        } // a new version may have mended it
        await this.drain();
        await this.observe();
    }
    /** In the background now and then: at sign-in, when the app comes to the front, when the network is back. */
    async observe() {
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
        if (response && OWN_FAULT.includes(response.status))
            return this.alarm("observe", response.status);
        if (this.again)
            return;
        this.again = true;
        this.clock.wait(backoff(this.lost++), () => {
            this.again = false;
            void this.observe();
        });
    }
    /** Somebody opts out. Resolves when that is durable on the phone and each SDK was told to stop; it sends itself. */
    async optOut(purposes = ["all"]) { return this.choose("opt_out", purposes); }
    /** Somebody limits the use of sensitive information. */
    async limit() { return this.choose("limit", ["sensitive"]); }
    /** How many choices wait to be sent. */
    async waiting() { await this.ready; return this.state.queue.length; }
    /** From when each purpose may be asked about: null at once, else a day. Null as a whole: nobody knows, do not ask. */
    async mayAskFrom() {
        await this.ready;
        const proof = await this.proofs();
        const response = await this.post("/v1/standing", JSON.stringify({ ...await this.shown(), proof }), {}, OBSERVE);
        if (response?.status !== 200)
            return null;
        const said = await answer(response);
        await this.keep(said);
        return said.may_ask_from ?? null;
    }
    /**
     * The first act of opting in: the token that `confirm` takes. `who`: the account, or ids of this phone: what no
     * attestation shows of these is opened in this app alone. The precise location wants an attestation.
     */
    async optIn(purpose, notice, who, more = {}) {
        const said = await this.open({ choice: "opt_in", purposes: [purpose], identifiers: who, notice, ...more });
        if (typeof said.confirm !== "string")
            throw new Refused("malformed");
        return said.confirm;
    }
    /** The second act, on a screen of its own. */
    async confirm(token, notice) {
        await this.open({ choice: "confirm", confirm: token, notice });
        await this.observe(); // of all the ids of the phone, with its signals, which are not read beside a choice
    }
    /** The site in a web view: your backend's cookie for it is set before the first load. */
    async webView(cookie, set, load) {
        await set(await cookie);
        load();
    }
    // --- what is sent ---
    async shown() {
        const identifiers = this.ids = await this.soon(this.options.identifiers, this.ids);
        return { identifiers, place: await this.place(), device: this.state.device, source: "sdk" };
    }
    place() {
        return this.soon(() => this.options.place?.(), null);
    }
    /** What shows who is signed in, and whose phone this is. */
    async proofs() {
        const assertion = await this.soon(() => this.options.assertion?.(), null);
        const token = await this.soon(() => this.options.attestation?.(), null);
        const account = assertion ? [{ kind: "account", assertion }] : [];
        return token ? [...account, { kind: "attestation", token }] : account;
    }
    /** What the app answers, in time; a platform's call that hangs or fails holds no choice up. */
    soon(ask, otherwise) {
        const late = new Promise((over) => this.clock.wait(OBSERVE, () => over(otherwise)));
        return Promise.race([quietly(ask, otherwise), late]);
    }
    async choose(choice, purposes) {
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
    async open(body) {
        await this.ready;
        if (this.state.queue.length)
            throw new Refused("superseded");
        const proof = [...await this.proofs(), { kind: "device", token: this.state.device }];
        const sent = { place: await this.place(), device: this.state.device, proof, ...body };
        const made = { ...sent, source: "sdk", made_at: new Date(this.clock.now()).toISOString() };
        const response = await this.post("/v1/choices", JSON.stringify(made), { "Idempotency-Key": this.id() }, CHOOSE);
        if (!response)
            throw new Refused("no_answer");
        if (!TAKEN.includes(response.status))
            throw new Refused(await kindOf(response));
        const said = await answer(response);
        await this.keep(said);
        return said;
    }
    /** Sends what waits, one after the other, and comes back for what was not taken. */
    async drain() {
        if (this.draining)
            return;
        this.draining = true;
        try {
            for (const act of [...this.state.queue]) {
                if (!act.stuck && act.due <= this.clock.now())
                    await this.send(act);
            }
        }
        finally {
            this.draining = false;
        }
        const due = this.state.queue.filter((act) => !act.stuck).map((act) => act.due - this.clock.now());
        const timer = ++this.timers;
        if (due.length) {
            const next = Math.min(Math.max(Math.min(...due), 0), HOUR); // a clock that was put back holds nothing up
            this.clock.wait(next, () => void (timer === this.timers && this.drain()));
        }
    }
    async send(act) {
        const response = await this.post("/v1/choices", act.body, { "Idempotency-Key": act.id }, CHOOSE);
        const said = response && TAKEN.includes(response.status) ? await answer(response) : null;
        if (said?.events) { // and no page of something in front, which would be 200, too
            this.state.queue = this.state.queue.filter((each) => each !== act);
            await this.save();
            await this.keep(said);
            if (!this.state.queue.length && this.begun)
                await this.observe(); // what runs, by its signals, too
            return;
        }
        const kind = response && OWN_FAULT.includes(response.status) ? await kindOf(response) : "";
        if (kind === "idempotency_mismatch")
            act.id = this.id();
        else if (kind) {
            act.stuck = true;
            this.alarm("choice", response?.status);
        }
        else {
            act.due = this.clock.now() + backoff(act.tries++);
            if (this.clock.now() - act.made > PATIENCE) {
                act.stuck = true;
                this.alarm("choice not sent for 30 days");
            }
        }
        await this.save();
    }
    async post(path, body, more, wait) {
        const headers = { Authorization: `Bearer ${this.options.key}`, "Content-Type": "application/json", ...more };
        const request = { method: "POST", headers, body };
        const asked = quietly(() => (this.options.fetch ?? fetch)(this.options.url + path, request), null);
        const late = new Promise((over) => this.clock.wait(wait, () => over(null)));
        return Promise.race([asked, late]);
    }
    // --- what is obeyed ---
    /** An answer that is older than a choice of this phone, or while one still waits, opens nothing. */
    async obey(said, acts) {
        await this.keep(said);
        if (!this.begun || acts !== this.acts || this.state.queue.length)
            return;
        const store = said.store;
        if (store)
            await this.put(() => acts === this.acts ? store : null);
        if (acts === this.acts)
            this.want(said.sdks ?? {});
        await this.told();
    }
    async keep(said) {
        if (typeof said.device === "string")
            this.state.device = said.device;
        if (said.store_opted_out)
            this.state.out = said.store_opted_out;
        await this.save();
    }
    /** What each SDK may do from now on. Of several wishes the last one counts. */
    want(sdks) {
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
    how(name) {
        const word = this.wanted[name];
        return word === "start" || word === "limited" ? word : "stop";
    }
    async tell(name, sdk) {
        const how = this.how(name); // read now: a choice may have come in between
        if (how === this.running[name] && how !== "stop")
            return;
        try {
            if (how === "stop" || this.running[name])
                await sdk.stop(); // from start to limited by way of stop
            delete this.running[name];
            if (how !== "stop" && this.how(name) === how) {
                this.running[name] = this.starting[name] = how;
                await sdk.start(how);
            }
        }
        catch {
            this.alarm(`sdk ${name}`);
        }
        finally {
            delete this.starting[name];
        }
    }
    /** Once each SDK did what it was told; for one that hangs nobody waits. */
    async told() { await this.soon(() => Promise.all(Object.values(this.turns)), null); }
    // --- what is kept on the phone ---
    async load() {
        let text;
        try {
            text = await this.options.storage.read();
            this.unread = false;
        }
        catch {
            return this.alarm("storage"); // tried again before anything is written
        }
        try {
            const { queue, ...rest } = JSON.parse(text ?? "{}");
            const waits = new Set(this.state.queue.map((act) => act.id));
            const older = (queue ?? []).filter((act) => !waits.has(act.id));
            this.state = { ...this.state, ...rest, queue: [...older, ...this.state.queue] };
        }
        catch {
            this.alarm("storage");
        }
        if (!text || this.state.queue.length)
            await this.put(() => this.state.out); // or it was killed before it wrote them
    }
    save() {
        this.saving = this.saving.then(async () => {
            if (this.unread)
                await this.load();
            if (this.unread)
                return;
            try {
                await this.options.storage.write(JSON.stringify(this.state));
            }
            catch {
                this.alarm("storage");
            }
        });
        return this.saving;
    }
    /** Preferences, one after the other; what is to be written is asked for when its turn comes. */
    put(keys) {
        this.writing = this.writing.then(async () => {
            const now = keys();
            try {
                if (now)
                    await this.options.preferences(now);
            }
            catch {
                this.alarm("preferences");
            }
        });
        return this.writing;
    }
    alarm(what, status) {
        void quietly(async () => this.options.alarm?.(what, status), undefined); // one that fails holds nothing up
    }
    id() {
        if (this.options.id)
            return this.options.id();
        const part = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
        return part() + part() + part() + part(); // a name, no secret
    }
}
/** 1 s, doubling to 1 h. */
export function backoff(tries) { return Math.min(SECOND * 2 ** Math.min(tries, 12), HOUR); }
async function quietly(ask, otherwise) {
    try {
        return await ask() ?? otherwise;
    }
    catch {
        return otherwise;
    }
}
async function answer(response) {
    const said = await quietly(() => response.json(), {});
    return (typeof said === "object" && said !== null ? said : {});
}
async function kindOf(response) {
    const said = await quietly(() => response.json(), {});
    return String(said?.type ?? "malformed").split(":").pop() ?? "malformed";
}
