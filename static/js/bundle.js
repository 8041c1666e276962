// The page of a device bundle: loads onnxruntime-web and the model from texts, so that it works from a folder.
(() => {
  const facts = window.bundleFacts;
  const at = (id) => document.getElementById(id);
  const KINDS = {
    FP16: ["float16", "Float16Array"], FP32: ["float32", "Float32Array"], FP64: ["float64", "Float64Array"],
    INT8: ["int8", "Int8Array"], INT16: ["int16", "Int16Array"], INT32: ["int32", "Int32Array"],
    INT64: ["int64", "BigInt64Array"], UINT8: ["uint8", "Uint8Array"], UINT16: ["uint16", "Uint16Array"],
    UINT32: ["uint32", "Uint32Array"], UINT64: ["uint64", "BigUint64Array"], BOOL: ["bool", "Uint8Array"],
    BYTES: ["string", ""],
  };
  const NAMES = Object.fromEntries(Object.entries(KINDS).map(([name, [type]]) => [type, name]));

  const bytesOf = async (text) => new Uint8Array(await (await fetch(`data:;base64,${text}`)).arrayBuffer());

  async function sha256(bytes) {
    if (!crypto.subtle) return "";
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function say(state, more = "") {
    document.body.dataset.state = state;
    at("state").textContent = `${at("state").dataset[state]} ${more}`.trim();
    at("state").className = { passed: "good", failed: "bad", broken: "bad", changed: "bad" }[state] || "";
  }

  // The digest covers every file of the package: as lines of path, NUL, sha256, sorted by path.
  async function digestOfPackage() {
    const lines = Object.keys(facts.package).sort().map((path) => `${path}\0${facts.package[path]}\n`).join("");
    return sha256(new TextEncoder().encode(lines));
  }

  async function isUnchanged(model) {
    const [found, digest] = await Promise.all([sha256(model), digestOfPackage()]);
    if (!found) return true; // this browser computes no digests outside of https
    const good = found === facts.model.sha256 && found === facts.package[facts.model.path] && digest === facts.digest;
    at("unchanged").textContent = good ? "✓" : "✗";
    at("unchanged").className = good ? "good" : "bad";
    return good;
  }

  function tensorOf(ort, { datatype, shape, data }) {
    const flat = [data].flat(Infinity), [type, array] = KINDS[datatype];
    if (type === "string") return new ort.Tensor("string", flat.map(String), shape);
    const kind = globalThis[array];
    if (!kind) throw new Error(`${datatype} is unknown to this browser`);
    const number = type.endsWith("int64") ? BigInt : Number;
    return new ort.Tensor(type, kind.from(flat, (value) => number(value === null ? NaN : value)), shape);
  }

  const plain = (value) => typeof value === "bigint" ? Number(value) : value;
  // Names of the signature beside names of the graph: equal names, else by position, as the portal pairs them.
  const nodeOf = (specs, nodes, place) =>
    specs.every((spec) => nodes.includes(spec.name)) ? specs[place].name : nodes[place];

  async function answer(ort, session, inputs) {
    const { inputs: given, outputs } = facts.signature;
    const feeds = {};
    for (const tensor of inputs) {
      const place = given.findIndex((spec) => spec.name === tensor.name);
      if (place < 0) throw new Error(`“${tensor.name}”: ${given.map((spec) => spec.name).join(", ")}?`);
      feeds[nodeOf(given, session.inputNames, place)] = tensorOf(ort, tensor);
    }
    const began = performance.now();
    const found = await session.run(feeds);
    const took = performance.now() - began;
    return { took, outputs: outputs.map((spec, place) => {
      const node = found[nodeOf(outputs, session.outputNames, place)];
      const data = Array.from(node.data, plain);
      return { name: spec.name, datatype: NAMES[node.type], shape: node.dims, data };
    }) };
  }

  function difference(expected, found) {
    const [left, right] = [[expected.data].flat(Infinity), found.data];
    if (left.length !== right.length || expected.shape.join() !== found.shape.join()) return Infinity;
    return left.reduce((worst, one, place) => {
      const other = right[place];
      if (expected.datatype === "BYTES") return String(one) === String(other) ? worst : Infinity;
      const [a, b] = [one === null ? NaN : Number(one), Number(other)];
      if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return worst;
      const apart = Math.abs(a - b);
      return Number.isNaN(apart) ? Infinity : Math.max(worst, apart);
    }, 0);
  }

  async function check(ort, session, one) {
    const row = at("cases").insertRow();
    const cell = (text, css = "") => { const made = row.insertCell(); made.textContent = text; made.className = css; };
    cell(one.name);
    let worst, took = 0, why = "";
    try {
      const found = await answer(ort, session, one.inputs);
      took = found.took;
      worst = Math.max(0, ...one.expected.map((want) =>
        difference(want, found.outputs.find((output) => output.name === want.name) || { data: [], shape: [] })));
    } catch (error) { [worst, why] = [Infinity, error.message]; }
    const passed = worst <= one.tolerance;
    row.dataset.passed = passed;
    cell(why || at("cases").dataset[passed ? "passed" : "failed"], passed ? "good" : "bad");
    cell(Number.isFinite(worst) ? worst.toPrecision(2) : "–", "num");
    cell(`${took.toFixed(1)} ms`, "num");
    return passed;
  }

  async function load(model) {
    if (!await isUnchanged(model)) return say("changed");
    const code = URL.createObjectURL(new Blob([window.bundleRuntime.code], { type: "text/javascript" }));
    const ort = await import(code);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = (await bytesOf(window.bundleRuntime.wasm)).buffer;
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    say("asking");
    let passed = true;
    for (const one of facts.cases) passed = await check(ort, session, one) && passed;
    say(passed ? "passed" : "failed");
    ready(ort, session);
  }

  function ready(ort, session) {
    const question = at("question");
    if (facts.cases.length && !question.value) question.value = JSON.stringify(facts.cases[0].inputs, null, 1);
    at("ask").querySelector("button").disabled = false;
    at("ask").addEventListener("submit", async (event) => {
      event.preventDefault();
      let told;
      try { told = JSON.stringify(await answer(ort, session, JSON.parse(question.value)), null, 1); }
      catch (error) { told = error.message; }
      at("answer").hidden = false;
      at("answer").textContent = told;
    });
  }

  async function begin() {
    try {
      if (window.bundleModel) return await load(await bytesOf(window.bundleModel));
      say("choose");
      at("choose").hidden = false;
      at("file").addEventListener("change", async () => {
        try { await load(new Uint8Array(await at("file").files[0].arrayBuffer())); }
        catch (error) { say("broken", error.message); }
      });
    } catch (error) { say("broken", error.message); }
  }

  begin();
})();
