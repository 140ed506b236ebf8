// The outside judge: what IAB Tech Lab's own library reads in a GPP string.
// node gpp_judge.mjs FOLDER, where FOLDER holds node_modules; one JSON string a line in, {sections} or {error} out.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { GppModel } = createRequire(process.argv[2] + "/").call(null, "@iabgpp/cmpapi");

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { sections: new GppModel(JSON.parse(line)).toObject() };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
