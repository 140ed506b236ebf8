// Tells the gateway what only script sees: navigator.globalPrivacyControl and what a consent tool on this page answers.
// It can only tighten, sends nothing when there is nothing to say, and reads nothing else of the page or the person.
// <script src="/privacy-choices/consent.js" defer></script>
(() => {
  "use strict";
  const SEEN = {};
  const WAIT = 1000; // milliseconds that a consent tool may take to answer

  const tell = () => {
    if (Object.keys(SEEN).length === 0) return;
    fetch("/privacy-choices/observe", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "same-origin",
      keepalive: true,
      body: JSON.stringify(SEEN),
    }).catch(() => {}); // the header of the next request says it again
  };

  const ask = (name, call) =>
    new Promise((done) => {
      if (typeof window[name] !== "function") return done();
      setTimeout(done, WAIT);
      try {
        call(window[name], done);
      } catch {
        done();
      }
    });

  if (navigator.globalPrivacyControl === true) SEEN.gpc = true;
  Promise.all([
    ask("__gpp", (gpp, done) =>
      gpp("ping", (answer) => {
        if (answer && answer.signalStatus === "ready" && answer.gppString) {
          SEEN.gpp = answer.gppString;
          if (Array.isArray(answer.applicableSections)) SEEN.gpp_sid = answer.applicableSections;
        }
        done();
      }),
    ),
    ask("__uspapi", (uspapi, done) =>
      uspapi("getUSPData", 1, (data, success) => {
        if (success && data && data.uspString) SEEN.us_privacy = data.uspString;
        done();
      }),
    ),
  ]).then(tell);
})();
