// --- what every edge does, the same in `gateway recipe cloudflare`, `fastly` and `cloudfront` ---

const WAIT = 500; // milliseconds for the gateway's answer: later is never
const GATEWAYS = /^\/(privacy-choices(\/|$)|ledger\/|\.well-known\/gpc\.json$|v1\/(access|choices|codes|erasures|links|observe|standing|texts)$)/;
const FILES = /{{files}}/i; // nobody is asked about them; with [site] enforce there are none
const AD_PATHS = "{{ad_beginnings}}".toLowerCase().split(" ").filter(Boolean); // [site] ad_paths, with enforce
const PLACE_HEADER = "{{place_header}}"; // [places] header and region_header; empty: the gateway goes by the address
const REGION_HEADER = "{{region_header}}";
const TO_SITE = ["gateway-consent", "gateway-browser", "gateway-place", "gateway-request"];
// What belongs to the visitor's connection and to what he sends.
const NOT_ASKED_WITH = ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
// What caches obey before Cache-Control.
const OUTRANKING = ["expires", "x-accel-expires", "surrogate-control", "edge-control", "cdn-cache-control", "cloudflare-cdn-cache-control"];

// A path that a server may read as another (`/ledger/..%2fads/1`) is none of the gateway's own here: it is asked about.
const isGateways = (path) => GATEWAYS.test(path) && !/%|\\|\/\/|\/\.\.?(\/|$)/.test(path);
const isPage = (path) => !isGateways(path) && !FILES.test(path);

// Whether a path begins with one of [site] ad_paths, in the one form in which the gateway compares them; some servers take
// a part's parameters (`..;x`) off before they go a folder up.
function isAd(path) {
  for (let time = 0; time < 3; time += 1)
    path = path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return [false, true].some((bare) => {
    const kept = [];
    for (const part of path.toLowerCase().split(/[/\\]/)) {
      const [said] = part.split(";");
      const name = /^\.\.?$/.test(bare ? said : part) ? said : said.replace(/[. ]+$/, "");
      if (name === "..") kept.pop();
      else if (name !== "" && name !== ".") kept.push(name);
    }
    const served = `/${kept.join("/")}/`;
    return AD_PATHS.some((beginning) => served.startsWith(beginning));
  });
}

// A visitor's headers as they go on: whatever he sends under the gateway's names, the door's, or as his place, is gone,
// `Gateway_…` too: PHP and WSGI cannot tell them apart. `seen`: what this edge itself knows of him.
function fromVisitor(sent, seen) {
  const headers = new Headers(sent);
  for (const name of [...headers.keys()]) if (/^(gateway|edge[-_])/i.test(name)) headers.delete(name);
  // Cookies that came in several fields, as HTTP/2 has them (RFC 9113 8.2.3): joined by a comma, ours were not heard.
  if (headers.has("cookie")) headers.set("cookie", headers.get("cookie").replace(/, (?=[^\s=;,"]+=)/g, "; "));
  headers.set("edge-key", seen.key ?? "");
  headers.set("edge-address", seen.address ?? "");
  headers.set("edge-scheme", seen.scheme);
  const { country = "", region = "" } = seen;
  if (PLACE_HEADER) headers.set(PLACE_HEADER, REGION_HEADER || !region ? country : `${country}-${region}`);
  if (REGION_HEADER) headers.set(REGION_HEADER, region);
  return headers;
}

// The question's headers. Nothing of a visitor stands in its address.
function question(headers, method, uri) {
  const asked = new Headers(headers);
  for (const name of NOT_ASKED_WITH) asked.delete(name);
  asked.set("edge-asks", "1");
  asked.set("x-forwarded-method", method);
  asked.set("x-forwarded-uri", uri);
  return asked;
}

// What the answer means. None, or one that is not the gateway's own: nothing may be done, with [site] enforce the policy
// is the one for everybody, and [site] ad_paths are refused.
function heard(status, headers, path) {
  const consent = headers?.get("gateway-consent");
  if (status === 204 && consent)
    return {
      refused: false,
      site: TO_SITE.map((name) => [name, headers.get(name) ?? ""]),
      policy: headers.get("content-security-policy"),
      cookie: headers.get("set-cookie"),
      cache: headers.get("cache-control"),
    };
  return {
    refused: isAd(path) || (status === 403 && Boolean(consent)),
    site: [["gateway-consent", "sale=?0, sharing=?0, targeted_ads=?0, status=unknown"], ["gateway-place", "unknown"]],
    policy: "{{policy}}",
  };
}

// The gateway's own cookies are not for the site: the same value every day would be one more id to track by.
function toSite(headers, answer) {
  const cookies = (headers.get("cookie") ?? "").split(";").map((each) => each.trim());
  const kept = cookies.filter((each) => each && !/^__Host-gateway(-said|-proof|-code)?\s*=/.test(each));
  headers.delete("cookie");
  if (kept.length) headers.set("cookie", kept.join("; "));
  for (const [name, value] of answer.site) headers.set(name, value);
}

// A page's headers as they go to the browser.
function toBrowser(headers, answer) {
  headers.append("vary", "{{vary}}");
  if (answer.cookie) headers.append("set-cookie", answer.cookie);
  if (answer.policy) silence(headers, answer.policy);
  if (!answer.cache) return;
  // One person's: in no shared cache, and `no-store`, which is more, stays.
  const said = (headers.get("cache-control") ?? "").toLowerCase().replace(/"[^"]*"|\s/g, "").split(",");
  if (!said.includes("no-store")) headers.set("cache-control", answer.cache);
  for (const name of OUTRANKING) headers.delete(name);
}

// What has a browser speak to others past every policy: reports of what was stopped, of failures, connections and
// documents ahead (gateway help trackers).
function silence(headers, policy) {
  for (const name of "{{speaking}}".split(" ")) headers.delete(name);
  headers.set("nel", '{{nel}}');
  headers.set("report-to", '{{report_to}}');
  headers.set("x-dns-prefetch-control", "{{x_dns_prefetch_control}}");
  if (/{{hints}}/i.test(headers.get("link") ?? "")) headers.delete("link");
  const own = `,${headers.get("content-security-policy") ?? ""}`;
  const kept = own.replace(/([;,])\s*report-(?:uri|to)[^;,]*/gi, "$1");
  headers.set("content-security-policy", kept === "," ? policy : policy + kept);
}
