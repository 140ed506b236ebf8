// Runs code of the manual's page on SDKs with a stand-in for the vendor's package: whatever it calls is written down in
// order and answered by `returns`. Arguments: the compiled file, the package; on standard input, JSON of what to call.
const Module = require("node:module");

const [file, vendor] = process.argv.slice(2);
const asked = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const calls = [];
const plain = (value) => JSON.parse(JSON.stringify(value ?? null));

function standIn(path) {
  const answer = (_, __, given) => {
    calls.push([path, ...given.map(plain)]);
    return asked.returns && path in asked.returns ? asked.returns[path] : standIn(`${path}()`);
  };
  return new Proxy(function () {}, {
    get(_, name) {
      if (name === "then") return undefined; // it is no promise
      if (name === "__esModule") return true;
      if (name === "toJSON") return () => path;
      if (name === "default") return standIn(path || "default");
      return standIn(path ? `${path}.${String(name)}` : String(name));
    },
    apply: answer,
    construct: (_, given) => standIn(`new ${path}(${given.map((each) => JSON.stringify(each)).join(", ")})`),
  });
}

const load = Module._load;
Module._load = (name, ...more) => (name === vendor ? standIn("") : load(name, ...more));
const code = require(file);

(async () => {
  const said = [];
  for (const [name, ...given] of asked.calls) {
    const [member, method] = name.split(".");
    const back = method ? await code[member][method](...given) : await code[member](...given);
    said.push({ calls: calls.splice(0), back: plain(back), exports: plain(code) });
  }
  process.stdout.write(JSON.stringify(said));
})();
