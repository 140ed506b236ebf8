// The consent gateway and Fastly Compute. Built with @fastly/js-compute 3.46. One question a page, and with [site] enforce
// one a file: what ends like a file may be a page or a worker. While the gateway is away or slow the page stays up, and
// everybody counts as opted out. `gateway recipe edge-door` is the other half, at your own servers, and here the backend
// `origin` (no override of the host). `gateway help edge` says what each part is for, and what was not run at Fastly.
/// <reference types="@fastly/js-compute" />
import { CacheOverride } from "fastly:cache-override";
import { SecretStore } from "fastly:secret-store";

addEventListener("fetch", (event) => event.respondWith(answered(event)));

async function answered({ request, client }) {
  const key = await new SecretStore("gateway").get("edge-key"); // the key of the door
  const { country_code: country, region } = client.geo ?? {};
  const seen = { key: key?.plaintext(), address: client.address, country, region };
  // A page in Fastly's cache would be somebody else's.
  return serve(request, seen, (asked, past) =>
    fetch(asked, { backend: "origin", ...(past && { cacheOverride: new CacheOverride("pass") }) }));
}

{{include edge-fetch.js}}
{{include edge.js}}
