// The page's own script. It tells the gateway what only script sees (navigator.globalPrivacyControl, what a consent tool
// on this page says), shows what holds, opens the choices in a dialog, and answers ad scripts: __gpp (CMP API 1.1),
// __uspapi, Google's consent mode. It reads nothing else of the page or the person, and can only tighten: while the
// gateway has not answered within 400 ms, or answers nonsense, everybody counts as opted out. Pages work without it.
// <script src="/privacy-choices/consent.js" async></script>, after the inline stub of `gateway recipe page`
(() => {
  "use strict";
  const DEADLINE = 400; // ms that an ad script waits for the gateway (I11)
  const ANSWER_WAIT = 10_000; // ms until an answer is given up
  const FORM_WAIT = 20_000; // ms until a choice without an answer is shown again
  const ROOM = "privacy-choices/";
  const FROM = document.currentScript?.src || location + "";
  const HOME = new URL(FROM.match(`.*/${ROOM}`)?.[0] || "/" + ROOM, FROM); // below a prefix, as this script is
  // What is said of everybody while nobody has answered: gateway/choice/downstream.py, opted_out, and its sections.
  const OUT = {"gpp":"DBABLA~CVVVAAEAAACA.QA","gpp_sid":[7],"us_privacy":"1YYN","consent_mode":{"ad_storage":"denied","ad_user_data":"denied","ad_personalization":"denied"},"parsed":{"usnat":[{"Version":2,"SharingNotice":1,"SaleOptOutNotice":1,"SharingOptOutNotice":1,"TargetedAdvertisingOptOutNotice":1,"SensitiveDataProcessingOptOutNotice":1,"SensitiveDataLimitUseNotice":1,"SaleOptOut":1,"SharingOptOut":1,"TargetedAdvertisingOptOut":1,"SensitiveDataProcessing":[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0],"KnownChildSensitiveDataConsents":[0,0,0],"PersonalDataConsents":0,"MspaCoveredTransaction":2,"MspaOptOutOptionMode":0,"MspaServiceProviderMode":0},{"GpcSegmentType":1,"Gpc":false}]}};
  const STATES = "ca va co ut ct fl mt or tx de ia ne nh nj tn mn".split(" ");
  const APIS = ["7:usnat", ...STATES.map((state, at) => `${at + 8}:us${state}`)];
  const { parse, stringify } = JSON;
  const NAMES = ["__gpp", "__uspapi"];
  const CHOICES = ["opt_out", "limit", "ticked"]; // what the buttons of our forms say that opt out

  const stub = NAMES.find((name) => window[name]?.l); // static/stub.js came before
  const ours = NAMES.filter((name) => !window[name] || window[name].l); // a consent tool of the page stays
  const here = NAMES.filter((name) => !window[name]); // no stub: its frame and its messages are made here
  const listeners = stub ? window[stub].l : {};
  const waiting = []; // callbacks of getUSPData
  let ping = { gppVersion: "1.1", signalStatus: "not ready" };
  let ids = Math.max(0, ...Object.keys(listeners).map(Math.abs));
  let toldGoogle; // what our last update said
  let turns = 0;
  let answeredTurn = 0; // behind `turns` while a question is under way
  let dialog; // of the choices: open, or closed with a choice on its way

  // --- what ad scripts ask ---

  const safely = (callback, ...values) => {
    try {
      callback(...values);
    } catch (error) {
      setTimeout(() => { throw error; }); // theirs to see; the next one is told all the same
    }
  };
  const pong = () => {
    const { uspString, ...said } = ping;
    return said;
  };
  const event = (id, eventName, data) => ({ eventName, listenerId: +id, data, pingData: pong() });
  const emit = (eventName, data) => {
    for (const id of Object.keys(listeners)) if (id > 0) safely(listeners[id], event(id, eventName, data), true);
  };
  const set = (name, value) => {
    if (ping[name] === value) return;
    ping[name] = value;
    emit(name, value);
    if (value === "ready") flush();
  };
  const isReady = () => ping.signalStatus === "ready";
  const unsettle = () => set("signalStatus", "not ready");
  const flush = () => {
    for (const callback of waiting.splice(0)) safely(callback, { version: 1, uspString: ping.uspString }, true);
  };
  const section = (prefix) => ping.parsedSections[prefix] || null;
  const COMMANDS = {
    __proto__: null,
    ping: () => pong(),
    removeEventListener: (id) => id > 0 && id in listeners && delete listeners[id],
    hasSection: (prefix) => Boolean(section(prefix)),
    getSection: section,
    getField: (path) => {
      const [prefix, name] = String(path).split(".");
      return section(prefix)?.find((fields) => name in fields)?.[name] ?? null;
    },
  };
  const APIS_OF = {
    __gpp: (command, callback, parameter) => {
      if (typeof callback !== "function") return;
      if (command === "addEventListener") {
        listeners[++ids] = callback;
        callback(event(ids, "listenerRegistered", true), true);
      } else if (COMMANDS[command]) callback(COMMANDS[command](parameter), true);
      else callback(null, false);
    },
    __uspapi: (command, version, callback) => {
      if (command !== "getUSPData" || typeof callback !== "function") return;
      waiting.push(callback);
      if (isReady()) flush();
    },
  };
  const answerFrames = ({ data, source }) => {
    const text = typeof data === "string";
    let said = data;
    try {
      if (text) said = parse(data);
    } catch {
      return; // not for us
    }
    for (const name of ours) {
      const call = said?.[`${name}Call`];
      if (!call || !(text || here.includes(name))) continue; // objects the stub answers
      const reply = (returnValue, success) => {
        const answer = { [`${name}Return`]: { returnValue, success, callId: call.callId } };
        source.postMessage(text ? stringify(answer) : answer, "*");
      };
      window[name](call.command, ...(name === "__gpp" ? [reply, call.parameter] : [call.version, reply]));
    }
  };
  const provide = () => {
    if (stub === "__gpp") window.__gpp("ping", (live) => (ping = live));
    for (const id of Object.keys(listeners)) {
      if (id > 0) continue;
      if (!isReady()) waiting.push(listeners[id]);
      delete listeners[id];
    }
    listeners[0] = (told) => told.data === "ready" && flush(); // the stub's deadline
    Object.assign(ping, { cmpDisplayStatus: "hidden", supportedAPIs: APIS, cmpId: 1 });
    if (!isReady()) say(OUT);
    for (const name of ours) {
      window[name] = APIS_OF[name];
      window[name].l = listeners;
    }
    for (const name of here) document.head.append(make("iframe", { name: `${name}Locator` }));
    addEventListener("message", answerFrames);
    set("cmpStatus", "loaded");
  };
  const say = ({ gpp, gpp_sid, us_privacy, parsed }) => {
    const sectionList = gpp_sid.filter((id) => id > 0);
    const parsedSections = { __proto__: null, ...parsed };
    Object.assign(ping, { gppString: gpp, applicableSections: gpp_sid, sectionList, uspString: us_privacy, parsedSections });
  };

  // --- what the gateway answers ---

  const sound = (body) => {
    const said = body?.strings;
    const texts = [said?.gpp, said?.us_privacy].every((text) => text && typeof text === "string");
    return texts && Array.isArray(said.gpp_sid) && Object(said.parsed) === said.parsed;
  };
  const settle = (strings) => {
    const changed = ping.gppString !== strings.gpp;
    if (changed) unsettle();
    set("cmpDisplayStatus", "hidden");
    say(strings);
    if (changed) for (const prefix of Object.keys(strings.parsed)) emit("sectionChange", prefix);
    set("signalStatus", "ready");
    tellGoogle(strings.consent_mode);
  };
  const theirs = {}; // a tool's last word, also once it left dataLayer: its no stands
  const tellGoogle = (mode) => {
    if (!window.dataLayer || !mode) return;
    for (const it of dataLayer) if (it?.[0] + it?.[1] === "consentupdate" && !it.ours) Object.assign(theirs, it[2]);
    const word = stringify(mode, (type, said) => (theirs[type] === "denied" ? "denied" : said));
    if (word === toldGoogle && !/den/.test(word)) return; // nor over one said since in another way
    toldGoogle = word;
    google("consent", "update", parse(word));
  };
  function google() {
    arguments.ours = 1; // as in static/tools.js
    dataLayer.push(arguments); // an arguments object is what Google's tags read
  }
  const heard = {}; // what only script sees, said with each question, for a browser may keep no cookie
  const ask = () => {
    if (dialog) return; // its end asks
    const turn = ++turns;
    const asked = performance.now();
    if (navigator.globalPrivacyControl === true) heard.gpc = true;
    const said = Object.keys(heard).length;
    const body = stringify(heard);
    const post = { method: "POST", headers: { "Content-Type": "application/json" }, keepalive: true, body };
    const answered = (body) => {
      const known = sound(body);
      const enforced = known && body.enforced;
      const shown = (silent) => silent && turn === turns && known && whenParsed(() => show(body));
      if (enforced && (dialog || turn === turns)) { // a press in the dialog makes silent by what was answered under it
        import(HOME + "silence.js").then((page) => page.silence(enforced, listen)).then(shown, () => {});
      }
      if (turn !== turns) return; // a later question is under way
      answeredTurn = turn;
      settle(known ? body.strings : OUT);
      if (!enforced) shown(true); // nothing is said to be honored on a page whose tags go on
      if (!known) return;
      if (body.refuse) import(HOME + "tools.js").then((page) => page.refuse(body.refuse)).catch(() => {});
      if (body.inventory) import(HOME + "hosts.js").catch(() => {}); // once a page
      document.dispatchEvent(new CustomEvent("gateway-status", { detail: { ...body, asked } }));
    };
    setTimeout(() => dialog || isReady() || settle(OUT), DEADLINE);
    const signal = AbortSignal.timeout?.(ANSWER_WAIT);
    fetch(HOME + (said ? "observe" : "status"), { credentials: "include", signal, ...(said && post) })
      .then((response) => (response.ok ? response.json() : null))
      .then(answered, () => answered(null)); // the header of the next request says it again
  };

  // --- what only script sees ---

  // What a consent tool says at once goes with the question; what it says later is a question of its own.
  const listen = () => {
    let asked = false;
    const told = (said) => {
      const before = stringify(heard);
      Object.assign(heard, said);
      if (asked && stringify(heard) !== before) ask();
    };
    const pinged = (answer) => {
      const { signalStatus, gppString: gpp, applicableSections: sections } = answer || {};
      if (signalStatus === "ready" && gpp) told({ gpp, gpp_sid: Array.isArray(sections) ? sections : undefined });
    };
    const answered = (data, success) => success && data?.uspString && told({ us_privacy: data.uspString });
    for (const [name, ...call] of [["__gpp", "ping", pinged], ["__uspapi", "getUSPData", 1, answered]]) {
      try {
        if (!ours.includes(name)) window[name](...call);
      } catch {} // a tool that is none
    }
    asked = true;
    ask();
  };

  // --- what the person sees ---

  const whenParsed = (act) => {
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", act);
    else act();
  };
  const make = (name, members) => Object.assign(document.createElement(name), members);
  const show = ({ display, partly }) => {
    for (const place of document.querySelectorAll("[data-gateway-status]")) {
      if (!display) {
        if (place.dataset.gatewayStatus === "shown") place.replaceChildren();
        continue;
      }
      const toggle = make("input", { type: "checkbox", checked: true, role: "switch", ariaReadOnly: "true" });
      toggle.onclick = () => false; // it shows what holds
      const label = make("label");
      label.append(toggle, " ", display);
      place.replaceChildren(partly ? display : label); // no switch stands at "on" where a part was allowed again
      place.dataset.gatewayStatus = "shown";
    }
  };
  const open = (link) => {
    dialog ??= made(link); // or a choice of before is on its way in it
    turns += 1; // an answer that is under way is asked for again at the end
    unsettle();
    set("cmpDisplayStatus", "visible");
    dialog.showModal();
  };
  const made = (link) => {
    const title = link.textContent.trim();
    const dialog = make("dialog", { ariaLabel: title });
    const close = make("button", { textContent: link.dataset.gatewayClose || "Close" });
    const frame = make("iframe", { src: link.href, title, id: "gateway-choices" }); // static/silence.js looks for it
    dialog.style.cssText = "width:min(46rem,100%);height:90%;padding:.5rem"; // by script: no policy forbids it
    frame.style.cssText = "width:100%;height:calc(100% - 3.5rem);border:0";
    close.style.padding = "1rem";
    close.onclick = () => dialog.close();
    let sent = false; // a choice goes to its end, closed or not, and is shown again unless that is its confirmation
    let seen; // the page in the frame that is listened to
    const look = () => {
      const inside = frame.contentDocument; // null: the browser's own, of an error
      if (inside === seen) return;
      seen = inside;
      const confirmed = /^[^?#]*privacy-choices\/done\/(?!.*unread=)/.test(inside?.location);
      sent = false;
      if (inside) inFrame(inside, dialog, (choice) => (sent = choice));
      if (!dialog.open) confirmed ? leave() : open(link);
    };
    const keepLooking = () => {
      if (!frame.isConnected) return;
      look(); // before it is painted: nobody can press what they do not see, and its load may be long in coming
      requestAnimationFrame(keepLooking);
    };
    frame.onload = look; // a tab in the background paints nothing
    dialog.onclose = () => {
      link.focus();
      if (!sent) return leave();
      settle(OUT); // until its answer
      setTimeout(() => {
        if (!sent || dialog.open) return;
        sent = false;
        open(link);
      }, FORM_WAIT);
    };
    dialog.append(close, frame);
    document.body.append(dialog);
    requestAnimationFrame(keepLooking);
    return dialog;
  };
  const leave = () => {
    dialog.remove();
    dialog = null;
    listen();
  };
  const inFrame = (inside, dialog, sends) => {
    inside.addEventListener("submit", ({ submitter }) => {
      const out = CHOICES.includes(submitter?.value);
      sends(out);
      if (out) tellGoogle(OUT.consent_mode); // the dialog may stay open for long
      document.dispatchEvent(new Event("gateway-sends")); // static/silence.js hears it
    });
    inside.addEventListener("keydown", (key) => key.key === "Escape" && dialog.close());
    inside.addEventListener("click", (click) => {
      const link = click.target.closest("a[href]");
      if (!link || `${link.pathname}/`.startsWith(HOME.pathname)) return;
      link.target = "_top"; // the rest of the site is no part of the dialog
      if (link.pathname + ROOM !== HOME.pathname) return;
      click.preventDefault(); // the form's own Close
      dialog.close();
    });
  };
  const clicked = (click) => {
    const link = click.target.closest?.("a[data-gateway-choices]");
    const plain = !(click.button || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey);
    if (!link || !plain || click.defaultPrevented || link.origin !== location.origin) return;
    if (!window.HTMLDialogElement) return; // then it is a link
    click.preventDefault();
    open(link);
  };

  provide();
  listen();
  document.addEventListener("click", clicked);
  const again = () => turns === answeredTurn && listen();
  const back = () => {
    if (dialog) return;
    unsettle(); // what was answered or is under way is of before
    listen();
  };
  addEventListener("gateway-ask", again); // before an auction
  document.addEventListener("visibilitychange", () => document.hidden || back()); // a no may have come in another tab
  addEventListener("pagehide", () => (answeredTurn = ++turns)); // what was under way is of before
  addEventListener("pageshow", (page) => page.persisted && back()); // back to a page that was kept whole
  addEventListener("online", listen);
})();
