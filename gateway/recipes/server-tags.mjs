// One check before each server-side tag: Meta's Conversions API, GA4's Measurement Protocol, Google Ads' enhanced
// conversions. Printed by `gateway recipe server-tags-node`, for Node 18 or later, without packages; `server-tags` is
// the same in Python and says at its beginning what the gateway's configuration needs. `gateway help ask` explains it.
//
// A no, no answer in time, an answer that is over or cannot be read: nothing is sent, not even without ids. An answer
// is for one send, so a tag that waits in a queue is asked about when it leaves it, and again for each further try.
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { env } = process;
const GATEWAY = env.GATEWAY_URL || "http://{{internal}}";
const META = "https://graph.facebook.com/v24.0"; // the versions that you use
const ANALYTICS = "https://www.google-analytics.com/mp/collect";
const ADS = "https://googleads.googleapis.com/v26";
const ASKING = 200; // milliseconds that the gateway may take
const LONGEST = 2000; // milliseconds that an answer is believed at most
const SENDING = 5000; // milliseconds that a tag's own host may take
const KNOWN_BY = ["account", "browser", "email", "phone"]; // raw ones, too: the gateway knows more spellings
const OF_GOOGLE = ["gmail.com", "googlemail.com"];

/** Every id that a tag's body gets goes through this, so that it is asked about. `data`: the classes. */
function asking(person) {
  const ofCookies = Object.entries(person.cookies || {}).map(([source, value]) => ({ type: "cookie", source, value }));
  const known = KNOWN_BY.map((type) => ({ type, value: person[type] }));
  const asks = [...known, ...ofCookies].filter(({ value }) => value);
  const data = new Set();
  return {
    asks,
    data,
    hashed(kind, text) {
      if (!text) return [];
      const value = createHash("sha256").update(text).digest("hex");
      asks.push({ type: `${kind}_sha256`, value });
      data.add(`${kind}_hash`);
      return [value];
    },
    cookie(name) {
      const value = person.cookies?.[name];
      if (value) data.add("device_id");
      return value;
    },
  };
}

const emailOf = ({ email }, dotsOf = []) => {
  const [, name, host] = /^(.+)@(.*)$/.exec((email || "").trim().toLowerCase()) || [];
  return name && `${dotsOf.includes(host) ? name.replaceAll(".", "") : name}@${host}`;
};
const phoneOf = ({ phone }, sign) => {
  const digits = (phone || "").replace(/\D/g, ""); // with the country's code: +14155550123
  return digits && sign + digits;
};
const some = (user) => Object.fromEntries(Object.entries(user).filter(([, value]) => value?.length));
const granted = (downstream) => (downstream.npa === 0 ? "GRANTED" : "DENIED");

const TAGS = {
  meta(event, person) {
    const { hashed, cookie, ...asked } = asking(person);
    const user_data = some({
      em: hashed("email", emailOf(person)),
      ph: hashed("phone", phoneOf(person, "")),
      fbp: cookie("_fbp"),
      fbc: cookie("_fbc"),
      ...(person.ip && { client_ip_address: person.ip, client_user_agent: person.user_agent }),
    });
    if (person.ip) asked.data.add("ip");
    const sent = {
      event_name: event.name, event_id: event.id, event_time: Math.floor(Date.now() / 1000), action_source: "website",
      event_source_url: event.page.replace(/[?#].*/, ""), // what follows may name somebody
      custom_data: { value: event.value, currency: event.currency }, user_data,
    };
    const body = ({ ldu = { options: ["LDU"], country: 0, state: 0 } }) => ({
      data: [{
        ...sent, data_processing_options: ldu.options, data_processing_options_country: ldu.country,
        data_processing_options_state: ldu.state,
      }],
    });
    const headers = { Authorization: `Bearer ${env.META_TOKEN}` };
    return { url: `${META}/${env.META_DATASET}/events`, headers, body, ...asked };
  },

  google_analytics(event, person) {
    const { hashed, cookie, ...asked } = asking(person);
    const params = { transaction_id: event.id, value: event.value, currency: event.currency };
    const sent = {
      client_id: (cookie("_ga") || "").replace(/^GA1\.1\./, ""),
      events: [{ name: event.name.toLowerCase(), params }],
      user_data: some({
        sha256_email_address: hashed("email", emailOf(person, OF_GOOGLE)),
        sha256_phone_number: hashed("phone", phoneOf(person, "+")),
      }),
    };
    const body = (told) => ({ ...sent, consent: { ad_user_data: granted(told), ad_personalization: granted(told) } });
    const query = new URLSearchParams({ measurement_id: env.GA_MEASUREMENT_ID, api_secret: env.GA_API_SECRET });
    return { url: `${ANALYTICS}?${query}`, headers: {}, body, ...asked };
  },

  google_ads(event, person) {
    const { hashed, cookie, ...asked } = asking(person);
    const customer = `customers/${env.ADS_CUSTOMER}`;
    const sent = {
      conversionAction: `${customer}/conversionActions/${env.ADS_ACTION}`,
      conversionDateTime: new Date().toISOString().replace("T", " ").replace(/\..*/, "+00:00"),
      conversionValue: event.value, currencyCode: event.currency, orderId: event.id,
      userIdentifiers: [
        ...hashed("email", emailOf(person, OF_GOOGLE)).map((hashedEmail) => ({ hashedEmail })),
        ...hashed("phone", phoneOf(person, "+")).map((hashedPhoneNumber) => ({ hashedPhoneNumber })),
      ],
    };
    const body = (told) => ({
      partialFailure: true,
      conversions: [{ ...sent, consent: { adUserData: granted(told), adPersonalization: granted(told) } }],
    });
    const headers = { Authorization: `Bearer ${env.ADS_TOKEN}`, "developer-token": env.ADS_DEVELOPER };
    return { url: `${ADS}/${customer}:uploadClickConversions`, headers, body, ...asked };
  },
};

const post = (url, body, headers, wait) =>
  fetch(url, {
    method: "POST", body, headers: { "Content-Type": "application/json", ...headers }, redirect: "error",
    signal: AbortSignal.timeout(wait),
  });
const toGateway = (path, body, wait) =>
  post(GATEWAY + path, JSON.stringify(body), { Authorization: `Bearer ${env.GATEWAY_KEY}` }, wait);

/** What holds for one send, and until when by our own clock; `allowed` only where the whole answer is a yes. */
async function ask(question, data) {
  const began = performance.now();
  const ref = randomUUID();
  try {
    const response = await toGateway("/v1/check", { ...question, data, ref }, ASKING);
    if (response.status !== 200) return { reason: "no_answer" };
    const said = await response.json();
    const whole = data.every((each) => said.data[each] === "allow");
    const allowed = said.ref === ref && said.allowed === true && whole && Number.isInteger(said.valid_for_ms);
    return { ...said, allowed, until: began + Math.min(said.valid_for_ms, LONGEST) };
  } catch {
    return { reason: "no_answer" };
  }
}

/** So that people can be told who got what about them; what is not said stays "may have been sent". */
const report = (decision, outcome, at) =>
  toGateway("/v1/disclosures", { decision, outcome, at }, SENDING).catch(() => {});

async function sent(recipient, tag, more) {
  if (!tag.asks.length || !tag.data.size) return "no_identifier";
  const answer = await ask({ recipient, identifiers: tag.asks, ...more }, [...tag.data]);
  if (!answer.allowed) return answer.reason || "no_answer";
  const body = JSON.stringify(tag.body(answer.downstream || {}));
  const at = Date.now();
  if (!(performance.now() < answer.until)) {
    report(answer.decision, "not_sent", at);
    return "expired";
  }
  const came = await post(tag.url, body, tag.headers, SENDING).catch(() => null);
  report(answer.decision, came?.ok ? "sent" : "unknown", at);
  return came?.ok ? "sent" : "failed";
}

/** What became of each tag: `sent`, `failed` or the reason of the no. `person`: what you know of `email`, `phone`,
 * `ip`, `user_agent`, `cookies` (those of the tags), and of what a no is known by besides: `account`, `browser` (the
 * header `Gateway-Browser`). `more`: `place` (`Gateway-Place`) and `signals` of this very request. */
export async function sendTags(event, person, more) {
  const one = async ([name, make]) => [name, await sent(name, make(event, person), more)];
  return Object.fromEntries(await Promise.all(Object.entries(TAGS).map(one)));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { event, person, ...more } = JSON.parse(readFileSync(0, "utf8"));
  console.log(JSON.stringify(await sendTags(event, person, more)));
}
