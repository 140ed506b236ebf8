/** What an IAB key holds, with its type; null: remove it. */
export type Value = string | number | null;
export type Keys = Record<string, Value>;
export type Json = Record<string, unknown>;
export interface Identifier {
    type: string;
    value: string;
    source?: string;
}
export interface Notice {
    sha256: string;
    language?: string;
    ui?: string;
}
export interface Cookie {
    name: string;
    value: string;
    attributes: string;
    host: string;
}
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
export interface Response {
    status: number;
    json(): Promise<unknown>;
}
export interface Request {
    method: string;
    headers: Record<string, string>;
    body: string;
}
export type Fetch = (url: string, request: Request) => Promise<Response>;
export interface Clock {
    now(): number;
    wait(milliseconds: number, then: () => void): void;
}
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
export declare const UNTIL_FIRST_ANSWER: Keys;
export declare class Refused extends Error {
    readonly kind: string;
    constructor(kind: string);
}
export declare class Gateway {
    private readonly options;
    private readonly clock;
    private state;
    private wanted;
    private running;
    private starting;
    private turns;
    private saving;
    private writing;
    private ids;
    private acts;
    private draining;
    private begun;
    private lost;
    private timers;
    private again;
    private unread;
    private ready;
    constructor(options: Options);
    /** At each start of the app; no SDK starts before. Resolves when the gateway answered or could not; never rejects. */
    start(): Promise<void>;
    /** In the background now and then: at sign-in, when the app comes to the front, when the network is back. */
    observe(): Promise<void>;
    /** Somebody opts out. Resolves when that is durable on the phone and each SDK was told to stop; it sends itself. */
    optOut(purposes?: string[]): Promise<void>;
    /** Somebody limits the use of sensitive information. */
    limit(): Promise<void>;
    /** How many choices wait to be sent. */
    waiting(): Promise<number>;
    /** From when each purpose may be asked about: null at once, else a day. Null as a whole: nobody knows, do not ask. */
    mayAskFrom(): Promise<Record<string, string | null> | null>;
    /**
     * The first act of opting in: the token that `confirm` takes. `who`: the account, or ids of this phone: what no
     * attestation shows of these is opened in this app alone. The precise location wants an attestation.
     */
    optIn(purpose: string, notice: Notice, who: Identifier[], more?: Json): Promise<string>;
    /** The second act, on a screen of its own. */
    confirm(token: string, notice: Notice): Promise<void>;
    /** The site in a web view: your backend's cookie for it is set before the first load. */
    webView(cookie: Promise<Cookie>, set: (cookie: Cookie) => Promise<void>, load: () => void): Promise<void>;
    private shown;
    private place;
    /** What shows who is signed in, and whose phone this is. */
    private proofs;
    /** What the app answers, in time; a platform's call that hangs or fails holds no choice up. */
    private soon;
    private choose;
    /** Opening is never queued: no answer is a refusal, and so is an opt-out of this phone that still waits. */
    private open;
    /** Sends what waits, one after the other, and comes back for what was not taken. */
    private drain;
    private send;
    private post;
    /** An answer that is older than a choice of this phone, or while one still waits, opens nothing. */
    private obey;
    private keep;
    /** What each SDK may do from now on. Of several wishes the last one counts. */
    private want;
    private how;
    private tell;
    /** Once each SDK did what it was told; for one that hangs nobody waits. */
    private told;
    private load;
    private save;
    /** Preferences, one after the other; what is to be written is asked for when its turn comes. */
    private put;
    private alarm;
    private id;
}
/** 1 s, doubling to 1 h. */
export declare function backoff(tries: number): number;
