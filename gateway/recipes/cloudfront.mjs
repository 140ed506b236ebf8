// The consent gateway and CloudFront: one Lambda@Edge function, for origin request (with its body left out) and for origin
// response. One question a page, and with [site] enforce one a file: what ends like a file may be a page or a worker.
// While the gateway is away or slow the page stays up, and everybody counts as opted out. `gateway recipe edge-door` is the
// other half, at your own servers. `gateway help edge` says what each part is for, and what was not run at Amazon.
//
//   Cache policy: CachingDisabled. Origin request policy: AllViewerAndCloudFrontHeaders-2022-06. Error caching minimum TTL: 0
//   for each code. The key of the door: a custom header of the origin, Edge-Key.
import http from "node:http";
import https from "node:https";

export const handler = async ({ Records: [{ cf }] }) =>
  cf.config.eventType === "origin-request" ? asked(cf.request) : delivered(cf.request, cf.response);

async function asked(request) {
  const said = (name) => request.headers[name]?.[0].value;
  const headers = fromVisitor(asHeaders(request.headers), {
    key: "", // the door's is the origin's own header
    address: request.clientIp,
    scheme: said("cloudfront-forwarded-proto") ?? "https",
    country: said("cloudfront-viewer-country"),
    region: said("cloudfront-viewer-country-region"),
  });
  headers.delete("edge-key");
  if (!isGateways(request.uri)) {
    const page = isPage(request.uri);
    const answer = page ? await ask(request, headers) : heard(0, null, "");
    if (answer.refused)
      return { status: "403", headers: { "cache-control": [{ key: "Cache-Control", value: "no-store" }] } };
    toSite(headers, answer);
    // What the browser is told is said once the site has answered: it goes by way of the door, which takes it out.
    if (page) headers.set("edge-answer", Buffer.from(JSON.stringify(answer)).toString("base64"));
  }
  request.headers = asEvent(headers);
  return request;
}

function delivered(request, response) {
  const told = request.headers["edge-answer"]?.[0].value;
  if (!told) return response;
  const headers = asHeaders(response.headers);
  const answer = JSON.parse(Buffer.from(told, "base64"));
  // A page of a fault CloudFront may keep for others, whatever the cache policy: nobody's cookie, and everybody's policy.
  const everybodys = { cookie: null, policy: heard(0, null, "").policy };
  toBrowser(headers, Number(response.status) < 400 ? answer : { ...answer, ...everybodys });
  response.headers = asEvent(headers);
  return response;
}

async function ask(request, headers) {
  try {
    const { protocol, domainName, port, customHeaders } = request.origin.custom;
    const uri = request.uri + (request.querystring && `?${request.querystring}`);
    const about = question(headers, request.method, uri);
    about.set("edge-key", customHeaders["edge-key"][0].value);
    const [status, told] = await new Promise((done, failed) => {
      const options = { host: domainName, servername: domainName, port, path: "/authz/forward", headers: Object.fromEntries(about) };
      const sent = (protocol === "https" ? https : http).get({ ...options, agent: KEPT[protocol] }, (answer) => {
        clearTimeout(late);
        answer.resume();
        done([answer.statusCode, pairs(answer.rawHeaders)]);
      });
      const late = setTimeout(() => sent.destroy(new Error("late")), WAIT);
      sent.on("error", failed);
    });
    return heard(status, new Headers(told), request.uri);
  } catch {
    return heard(0, null, request.uri);
  }
}

const KEPT = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) };
const pairs = (raw) => raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]));

// CloudFront's form of headers, and back.
function asHeaders(event) {
  return new Headers(Object.entries(event).flatMap(([name, values]) => values.map(({ value }) => [name, value])));
}

function asEvent(headers) {
  const event = {};
  for (const [name, value] of headers) (event[name] ??= []).push({ key: name, value });
  return event;
}

{{include edge.js}}
