// Hands a no on to the consent tool of the page, by the call that its maker documents, so that no tag goes on by the tool's
// yes and no two strings disagree. consent.js loads it where a no is on record; `refuse` of the status has each tool's own
// names of what that covers. It can only tighten: it sets no yes, asks nobody, and calls nothing that says no already.
const MOST = 5; // times a page; a tool that takes a no for a yes is not argued with for ever
let calls = 0;
let names; // of what is refused, by tool: the last answer's

const insist = (says_yes, call) => {
  try {
    if (!says_yes() || calls >= MOST) return;
    calls += 1;
    call();
    const denied = { ad_storage: "denied", ad_user_data: "denied", ad_personalization: "denied" };
    if (window.dataLayer) google("consent", "update", denied); // behind what the tool itself told Google's tags
  } catch (error) {
    setTimeout(() => { throw error; }); // the tool's own to see
  }
};
function google() {
  arguments.ours = 1; // and no tool's: static/consent.js may take it back
  dataLayer.push(arguments); // an arguments object is what Google's tags read
}
const queued = (name, entry) => {
  if (!window[name]) window[name] = [];
  window[name].push(entry); // before the tool is there, and after
};

// OneTrust: UpdateConsent, and the event at each load and change.
const oneTrust = () => {
  const groups = () => String(window.OnetrustActiveGroups || "").split(",");
  const refused = () => names.onetrust.filter((name) => groups().includes(name));
  const tell = () =>
    insist(
      () => window.OneTrust?.UpdateConsent && refused().length,
      () => window.OneTrust.UpdateConsent("Category", refused().map((name) => `${name}:0`).join(",")),
    );
  addEventListener("OneTrustGroupsUpdated", () => setTimeout(tell)); // once the tool has come to rest
  return tell;
};

// Cookiebot: submitCustomConsent takes all three. A yes that was given to the others stays; one that the tool takes where
// nobody answered would be kept as an answer.
const cookiebot = () => {
  const given = (name) => Boolean(window.Cookiebot.hasResponse && window.Cookiebot.consent[name]);
  const kept = (name) => given(name) && !names.cookiebot.includes(name);
  const tell = () =>
    insist(
      () => window.Cookiebot?.submitCustomConsent && names.cookiebot.some((name) => window.Cookiebot.consent?.[name]),
      () => window.Cookiebot.submitCustomConsent(kept("preferences"), kept("statistics"), kept("marketing")),
    );
  for (const name of ["CookiebotOnConsentReady", "CookiebotOnAccept"]) addEventListener(name, () => setTimeout(tell));
  return tell;
};

// Didomi: setUserDisagreeToAll, which refuses the other purposes too.
const didomi = () => {
  const tell = () =>
    insist(
      () => names.didomi.some((name) => window.Didomi?.getCurrentUserStatus().purposes?.[name]?.enabled),
      () => window.Didomi.setUserDisagreeToAll(),
    );
  queued("didomiOnReady", tell);
  queued("didomiEventListeners", { event: "consent.changed", listener: () => setTimeout(tell) });
  return tell;
};

// Sourcepoint: a command of its own __gpp, which refuses all choices. Ours answers no such thing, and needs none.
const NOT_OPTED_OUT = /"(?:Sale|Sharing|TargetedAdvertising)OptOut":2/;
const sourcepoint = () => {
  const theirs = window._sp_ && window.__gpp && !window.__gpp.l && window.__gpp;
  if (!theirs) return;
  const tell = ({ signalStatus, parsedSections }) =>
    insist(
      () => signalStatus === "ready" && NOT_OPTED_OUT.test(JSON.stringify(parsedSections)),
      () => theirs("postRejectAllUsnat", () => {}),
    );
  theirs("addEventListener", () => setTimeout(() => theirs("ping", tell))); // that it is registered is the first event
};

let tells;
export const refuse = (refused) => {
  names = refused;
  if (!tells) {
    tells = [oneTrust(), cookiebot(), didomi()];
    if (document.readyState === "complete") sourcepoint();
    else addEventListener("load", sourcepoint); // its own script is there by then
  }
  for (const tell of tells) tell();
};
