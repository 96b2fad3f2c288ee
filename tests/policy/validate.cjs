// Validates JSON documents against the published schema: node validate.cjs SCHEMA FILE...
// Prints one line per file, "ok" or what is wrong. Exit status 3: the validator (npm package ajv, version 8) is not there.
let Ajv;
try {
  Ajv = require("ajv/dist/2020");
} catch {
  process.exit(3);
}
const fs = require("fs");
const [schema, ...files] = process.argv.slice(2);
const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(JSON.parse(fs.readFileSync(schema)));
for (const file of files) {
  const holds = validate(JSON.parse(fs.readFileSync(file)));
  console.log(holds ? "ok" : JSON.stringify(validate.errors.slice(0, 3).map((e) => e.instancePath + " " + e.message)));
}
