// A visitor's request, where an edge has fetch. `send` hands a request to the door at your servers, past every cache
// where its second argument says so.
async function serve(request, seen, send) {
  const url = new URL(request.url);
  const headers = fromVisitor(request.headers, { ...seen, scheme: url.protocol.slice(0, -1) });
  const page = isPage(url.pathname);
  const gateways = isGateways(url.pathname);
  const answer = page ? await ask(url, request.method, headers, send) : heard(0, null, "");
  if (answer.refused) return new Response(null, { status: 403, headers: { "cache-control": "no-store" } });
  if (!gateways) toSite(headers, answer);
  const { method } = request;
  const body = method === "GET" || method === "HEAD" ? undefined : request.body; // which fetch refuses with one
  const response = await send(new Request(url, { method, headers, body, redirect: "manual", duplex: "half" }), page || gateways);
  if (!page) return response;
  const shown = new Response(response.body, response);
  toBrowser(shown.headers, answer);
  return shown;
}

async function ask(url, method, headers, send) {
  const late = new Promise((done) => setTimeout(done, WAIT));
  try {
    const asked = question(headers, method, url.pathname + url.search);
    const about = new Request(new URL("/authz/forward", url), { headers: asked, redirect: "manual" });
    const told = await Promise.race([send(about, true), late]);
    return heard(told?.status, told?.headers, url.pathname);
  } catch {
    return heard(0, null, url.pathname);
  }
}
