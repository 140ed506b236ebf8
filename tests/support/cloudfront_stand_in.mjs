// Stands in for CloudFront around the recipe's Lambda@Edge function. It is Amazon's in nothing but its documentation: the
// structure of both events, which headers it adds (a visitor's own never arrive under those names), which it keeps from
// a function, and which a function may not touch.
// What it is given: the function's file, its own port, the door's host:port, the door's key, places by address as JSON.
import http from "node:http";

const [file, port, door, key, seen] = process.argv.slice(2);
const { handler } = await import(file);
const PLACES = JSON.parse(seen);
const [domainName, doorPort] = door.split(":");
const HIDDEN = /^(connection|expect|keep-alive|proxy-.*|trailer|upgrade|x-accel-.*|x-amz-cf-.*|x-amzn-.*|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip)$/;
const READ_ONLY = {
  "origin-request": /^(accept-encoding|content-length|if-modified-since|if-none-match|if-range|if-unmodified-since|transfer-encoding|via)$/,
  "origin-response": /^(transfer-encoding|via)$/,
};
const config = { distributionDomainName: "d111111abcdef8.cloudfront.net", distributionId: "EDFDVBD6EXAMPLE", requestId: "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==" };
const AGENT = new http.Agent({ keepAlive: true });

function split(raw) {
  const [shown, hidden] = [{}, {}];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at].toLowerCase();
    ((HIDDEN.test(name) ? hidden : shown)[name] ??= []).push({ key: raw[at], value: raw[at + 1] });
  }
  return [shown, hidden];
}

const joined = (headers) => Object.fromEntries(Object.values(headers).map((each) => [each[0].key, each.length > 1 ? each.map(({ value }) => value) : each[0].value]));

// The function, and what Amazon refuses of its answer.
async function run(eventType, cf) {
  const before = structuredClone((cf.response ?? cf.request).headers);
  const result = await handler(JSON.parse(JSON.stringify({ Records: [{ cf: { config: { ...config, eventType }, ...cf } }] })));
  if (eventType === "origin-request" && result.status) return result; // an answer of its own
  const values = (headers, name) => JSON.stringify(headers[name]?.map(({ value }) => value));
  for (const name of Object.keys({ ...before, ...result.headers })) {
    if (READ_ONLY[eventType].test(name) && values(before, name) !== values(result.headers, name)) throw new Error(`read-only: ${name}`);
    if (HIDDEN.test(name)) throw new Error(`not allowed: ${name}`);
  }
  return result;
}

function eventOf(visitor) {
  const [headers, hidden] = split(visitor.rawHeaders);
  const clientIp = visitor.socket.remoteAddress;
  for (const name of Object.keys(headers)) if (name.startsWith("cloudfront-")) delete headers[name];
  const [country, region] = PLACES[clientIp] ?? [];
  const add = (key, value) => value && (headers[key.toLowerCase()] = [{ key, value }]);
  add("CloudFront-Forwarded-Proto", "http");
  add("CloudFront-Viewer-Country", country);
  add("CloudFront-Viewer-Country-Region", region);
  add("Via", `2.0 ${config.distributionDomainName} (CloudFront)`);
  add("X-Forwarded-For", [...(headers["x-forwarded-for"] ?? []).map(({ value }) => value), clientIp].join(", "));
  const [uri, querystring = ""] = visitor.url.split(/\?(.*)/s);
  const customHeaders = { "edge-key": [{ key: "Edge-Key", value: key }] };
  const custom = { customHeaders, domainName, keepaliveTimeout: 5, path: "", port: Number(doorPort), protocol: "http", readTimeout: 30, sslProtocols: ["TLSv1.2"] };
  return [{ clientIp, headers, method: visitor.method, origin: { custom }, querystring, uri }, hidden];
}

function sentOn(request, hidden, visitor, answered, upgraded) {
  const { domainName: host, port: at, customHeaders } = request.origin.custom;
  const path = request.uri + (request.querystring && `?${request.querystring}`);
  const headers = joined({ ...hidden, ...request.headers, ...customHeaders });
  const sent = http.request({ host, port: at, method: request.method, path, headers, agent: upgraded ? undefined : AGENT }, answered);
  if (upgraded) sent.on("upgrade", upgraded);
  return sent;
}

const server = http.createServer(async (visitor, answer) => {
  const failed = (fault) => {
    console.error(fault);
    answer.writeHead(502).end();
  };
  try {
    const [asked, hidden] = eventOf(visitor);
    const request = await run("origin-request", { request: asked });
    if (request.status) return void answer.writeHead(Number(request.status), joined(request.headers)).end(request.body);
    delete hidden.connection;
    const sent = sentOn(request, hidden, visitor, async (got) => {
      try {
        const [headers, kept] = split(got.rawHeaders);
        const response = { headers, status: String(got.statusCode), statusDescription: got.statusMessage };
        const result = await run("origin-response", { request, response });
        delete kept.connection;
        answer.writeHead(Number(result.status), joined({ ...kept, ...result.headers }));
        got.pipe(answer);
      } catch (fault) {
        failed(fault);
      }
    });
    sent.on("error", failed);
    visitor.pipe(sent);
  } catch (fault) {
    failed(fault);
  }
});

// A WebSocket: the function hears the question, and what comes after a 101 goes past it.
server.on("upgrade", async (visitor, socket) => {
  const [asked, hidden] = eventOf(visitor);
  const request = await run("origin-request", { request: asked });
  const refused = () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  sentOn(request, hidden, visitor, refused, (got, behind, head) => {
    const lines = Object.entries(got.headers).map(([name, value]) => `${name}: ${value}`);
    socket.write(["HTTP/1.1 101 Switching Protocols", ...lines, "", ""].join("\r\n"));
    socket.write(head);
    behind.pipe(socket).pipe(behind);
  }).on("error", refused).end();
});
server.listen(Number(port), "127.0.0.1");
