// Stands in for Cloudflare's own network, before the Worker of the recipe: it knows a visitor's address and place, and
// whatever he says of them himself never arrives. workerd tells the address of a connection as `cf.clientIp`.
export default {
  fetch(request, { recipe, PLACES }) {
    const address = request.cf.clientIp.replace(/:\d+$/, "");
    const headers = new Headers(request.headers);
    headers.set("CF-Connecting-IP", address);
    const [country, regionCode] = PLACES[address] ?? ["XX"];
    return recipe.fetch(new Request(request, { headers, redirect: "manual", cf: { country, regionCode } }));
  },
};
