// The consent gateway and a Cloudflare Worker, on a route of your zone: {{host}}/*. Tested with workerd 1.20261117. One
// question a page, and with [site] enforce one a file: what ends like a file may be a page or a worker. While the gateway is
// away or slow the page stays up, and everybody counts as opted out. `gateway recipe edge-door` is the other half, at your
// own servers; `gateway help edge` says what each part is for, and what to switch off at Cloudflare.
//
//   wrangler.toml: main = "cloudflare.js", compatibility_date = "2025-09-01"; the key of the door: wrangler secret put EDGE_KEY
export default {
  fetch(request, env) {
    const seen = {
      key: env.EDGE_KEY,
      address: request.headers.get("cf-connecting-ip"),
      country: request.cf?.country,
      region: request.cf?.regionCode,
    };
    // Cloudflare's cache knows no Vary: a page in it would be somebody else's.
    return serve(request, seen, (asked, past) => fetch(asked, past ? { cache: "no-store" } : {}));
  },
};

{{include edge-fetch.js}}
{{include edge.js}}
