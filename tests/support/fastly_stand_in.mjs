// Stands in for Fastly around the recipe as it was built: its engine is Fastly's own, inside the program, and what the
// program asks of the machine it runs on is answered here, a thread a request, since those questions wait.
// What it is given: the program, its own port, the door's host:port, the door's key, places by address as JSON.
import { readFileSync } from "node:fs";
import http from "node:http";
import { WASI } from "node:wasi";
import { isMainThread, MessageChannel, receiveMessageOnPort, Worker, workerData } from "node:worker_threads";

const [UNSUPPORTED, NONE, FAILED] = [5, 10, 1];
const NOT_HANDED_ON = new Set(["connection", "transfer-encoding", "content-length", "host", "keep-alive"]);

if (isMainThread) listen(...process.argv.slice(2));
else run(workerData);

// --- the machine: connections on both sides ---

function listen(file, port, door, key, seen) {
  const program = new WebAssembly.Module(readFileSync(file));
  const [host, at] = door.split(":");
  const agent = new http.Agent({ keepAlive: true });
  http.createServer(async (visitor, answer) => {
    const chunks = await visitor.toArray();
    const { port1, port2 } = new MessageChannel();
    const rings = new Int32Array(new SharedArrayBuffer(4));
    const tell = (message) => {
      port1.postMessage(message);
      Atomics.add(rings, 0, 1);
      Atomics.notify(rings, 0);
    };
    const asked = { method: visitor.method, uri: `http://${visitor.headers.host}${visitor.url}`, headers: pairs(visitor.rawHeaders) };
    const data = { program, port: port2, rings, asked, body: Buffer.concat(chunks), address: visitor.socket.remoteAddress, key, seen: JSON.parse(seen) };
    const thread = new Worker(new URL(import.meta.url), { workerData: data, transferList: [port2] });
    let answered = false;
    const heard = ({ pending, status, method, uri, headers, body }) => {
      if (status) {
        answered = true;
        const length = visitor.method === "HEAD" || status === 204 ? [] : ["Content-Length", String(body.length)];
        return void answer.writeHead(status, [...kept(headers), ...length]).end(body);
      }
      const url = new URL(uri);
      const length = body.length || method === "POST" ? ["Content-Length", String(body.length)] : [];
      const options = { host, port: at, method, path: uri.slice(url.origin.length) || "/", agent, headers: ["Host", url.host, ...kept(headers), ...length] };
      const sent = http.request(options, async (got) => {
        const all = Buffer.concat(await got.toArray());
        tell({ pending, status: got.statusCode, headers: pairs(got.rawHeaders), body: all });
      });
      sent.on("error", () => tell({ pending }));
      sent.end(Buffer.from(body));
    };
    port1.on("message", heard);
    thread.on("error", (fault) => console.error(fault));
    thread.on("exit", () => {
      for (let last; (last = receiveMessageOnPort(port1)); ) heard(last.message);
      port1.close();
      if (!answered) answer.writeHead(500).end();
    });
  }).listen(Number(port), "127.0.0.1");
}

const pairs = (raw) => raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]));
const kept = (headers) => headers.filter(([name]) => !NOT_HANDED_ON.has(name.toLowerCase())).flat();

// --- what one run of the program asks ---

function run({ program, port, rings, asked, body, address, key, seen }) {
  const held = [];
  const hold = (what) => held.push(what); // a handle: never 0
  const at = (handle) => held[handle - 1];
  let memory;
  const bytes = (where, length) => Buffer.from(memory.buffer, where, length);
  const text = (where, length) => bytes(where, length).toString("latin1");
  const number = (where, value) => (new DataView(memory.buffer).setUint32(where, value, true), 0);
  const long = (where, value) => (new DataView(memory.buffer).setBigInt64(where, BigInt(value), true), 0);
  function written(value, where, length, count) {
    const all = Buffer.from(value, "latin1");
    number(count, all.length);
    if (all.length > length) return 4;
    all.copy(bytes(where, length));
    return 0;
  }

  function hear(wait) {
    const rung = Atomics.load(rings, 0);
    let said = receiveMessageOnPort(port);
    if (!said) {
      Atomics.wait(rings, 0, rung, wait);
      said = receiveMessageOnPort(port);
    }
    if (said) at(said.message.pending).answer = said.message;
    return Boolean(said);
  }
  const ready = (handle) => at(handle).kind !== "pending" || Boolean(at(handle).answer);

  function sent(request, sentBody, backend, length, streaming, out) {
    if (text(backend, length) !== "origin") return FAILED;
    const pending = hold({ kind: "pending" });
    const send = () => {
      const { method, uri, headers } = at(request);
      port.postMessage({ pending, method, uri, headers, body: at(sentBody).bytes });
    };
    if (streaming) at(sentBody).closed = send;
    else send();
    return number(out, pending);
  }

  const headers = {
    header_names_get: (handle, where, length, _, end, count) => {
      const names = [...new Set(at(handle).headers.map(([name]) => name.toLowerCase()))];
      long(end, -1);
      return written(names.map((name) => `${name}\0`).join(""), where, length, count);
    },
    header_values_get: (handle, name, size, where, length, _, end, count) => {
      const wanted = text(name, size).toLowerCase();
      const values = at(handle).headers.filter(([each]) => each.toLowerCase() === wanted);
      long(end, -1);
      return written(values.map(([, value]) => `${value}\0`).join(""), where, length, count);
    },
    header_append: (handle, name, size, where, length) => (at(handle).headers.push([text(name, size), text(where, length)]), 0),
    header_remove: (handle, name, size) => {
      const gone = text(name, size).toLowerCase();
      at(handle).headers = at(handle).headers.filter(([each]) => each.toLowerCase() !== gone);
      return 0;
    },
    header_insert: (...given) => headers.header_remove(...given) || headers.header_append(...given),
    version_get: (_, out) => number(out, 2),
    framing_headers_mode_set: () => 0,
  };
  const answers = {
    fastly_http_req: {
      ...headers,
      body_downstream_get: (request, content) => number(request, hold(asked)) || number(content, hold({ bytes: Buffer.from(body) })),
      new: (out) => number(out, hold({ method: "GET", uri: "", headers: [] })),
      method_get: (handle, ...into) => written(at(handle).method, ...into),
      uri_get: (handle, ...into) => written(at(handle).uri, ...into),
      method_set: (handle, ...from) => ((at(handle).method = text(...from)), 0),
      uri_set: (handle, ...from) => ((at(handle).uri = text(...from)), 0),
      cache_override_v2_set: (handle, tag) => {
        if (tag & 1) at(handle).headers.push(["Cache-Control", "no-cache"]); // told to the site, so that a test sees it
        return 0;
      },
      auto_decompress_response_set: () => 0,
      send_async: (request, content, backend, length, out) => sent(request, content, backend, length, false, out),
      send_async_streaming: (request, content, backend, length, out) => sent(request, content, backend, length, true, out),
      send_async_v2: sent,
      pending_req_wait_v2: (pending, _, response, content) => {
        while (!at(pending).answer) hear();
        const { status, headers: got, body: all } = at(pending).answer;
        if (!status) return FAILED;
        return number(response, hold({ status, headers: got })) || number(content, hold({ bytes: Buffer.from(all) }));
      },
    },
    fastly_http_resp: {
      ...headers,
      new: (out) => number(out, hold({ status: 200, headers: [] })),
      status_get: (handle, out) => (new DataView(memory.buffer).setUint16(out, at(handle).status, true), 0),
      status_set: (handle, status) => ((at(handle).status = status), 0),
      send_downstream: (response, content, streaming) => {
        const send = () => port.postMessage({ ...at(response), body: at(content).bytes });
        if (streaming) at(content).closed = send;
        else send();
        return 0;
      },
      get_addr_dest_ip: () => NONE,
      get_addr_dest_port: () => NONE,
    },
    fastly_http_body: {
      new: (out) => number(out, hold({ bytes: Buffer.alloc(0) })),
      read: (handle, where, length, count) => {
        const some = at(handle).bytes.subarray(0, length);
        at(handle).bytes = at(handle).bytes.subarray(some.length);
        some.copy(bytes(where, length));
        return number(count, some.length);
      },
      write: (handle, where, length, _, count) => {
        at(handle).bytes = Buffer.concat([at(handle).bytes, bytes(where, length)]);
        return number(count, length);
      },
      append: (onto, from) => ((at(onto).bytes = Buffer.concat([at(onto).bytes, at(from).bytes])), 0),
      close: (handle) => (at(handle).closed?.(), 0),
      abandon: () => 0,
      known_length: (handle, out) => long(out, at(handle).bytes.length),
    },
    fastly_async_io: {
      is_ready: (handle, out) => {
        while (hear(0));
        return number(out, ready(handle) ? 1 : 0);
      },
      select: (handles, count, wait, out) => {
        const until = wait ? Date.now() + wait : Infinity;
        const view = new DataView(memory.buffer);
        const all = Array.from({ length: count }, (_, index) => view.getUint32(handles + 4 * index, true));
        for (;;) {
          const index = all.findIndex(ready);
          if (index >= 0) return number(out, index);
          const left = until - Date.now();
          if (left <= 0) return number(out, 0xffffffff);
          hear(left === Infinity ? undefined : left);
        }
      },
    },
    fastly_http_downstream: {
      downstream_client_ip_addr: (_, where, count) => {
        Buffer.from(address.split(".").map(Number)).copy(bytes(where, 4));
        return number(count, 4);
      },
    },
    fastly_geo: {
      lookup: (where, size, ...into) => {
        const [country_code, region] = seen[[...bytes(where, size)].join(".")] ?? ["**", "?"];
        return written(JSON.stringify({ country_code, region }), ...into);
      },
    },
    fastly_secret_store: {
      open: (name, size, out) => (text(name, size) === "gateway" ? number(out, hold("store")) : NONE),
      get: (_, name, size, out) => (text(name, size) === "edge-key" ? number(out, hold(key)) : NONE),
      plaintext: (secret, ...into) => written(at(secret), ...into),
    },
    fastly_compute_runtime: { get_vcpu_ms: (out) => long(out, 0), get_heap_mib: (out) => number(out, 0) },
  };
  const wasi = new WASI({ version: "preview1", args: ["recipe"], returnOnExit: true });
  const imports = { ...wasi.getImportObject() };
  for (const { module, name } of WebAssembly.Module.imports(program))
    if (module.startsWith("fastly")) (imports[module] ??= {})[name] = answers[module]?.[name] ?? (() => UNSUPPORTED);
  const instance = new WebAssembly.Instance(program, imports);
  ({ memory } = instance.exports);
  wasi.start(instance);
}
