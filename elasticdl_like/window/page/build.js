// Makes ../page.html: the page with its style and script in it, and nothing to load from anywhere.
// `make page` runs it; the hash of the sources lets a test tell whether that was forgotten.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

import { build } from "esbuild";

const SOURCE = /\.(html|css|js|json)$/;

function hashOfSources() {
  const hash = createHash("sha256");
  for (const name of readdirSync(".").filter((each) => SOURCE.test(each)).sort()) {
    hash.update(`${name}\0`).update(readFileSync(name)).update("\0");
  }
  return hash.digest("hex");
}

const policyHash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const { outputFiles } = await build({
  entryPoints: [{ in: "main.js", out: "script" }, { in: "page.css", out: "style" }],
  bundle: true, minify: true, write: false, outdir: "out", format: "iife", target: "es2022", charset: "utf8",
  legalComments: "none",
});
const output = (ending) => outputFiles.filter((each) => each.path.endsWith(ending)).map((each) => each.text.trim());
const library = JSON.parse(readFileSync("node_modules/uplot/package.json", "utf8"));
const notice = `/*\nIn this file: uPlot ${library.version}.\n\n${readFileSync("node_modules/uplot/LICENSE", "utf8").trim()}\n*/\n`;
const script = `${notice}${output("script.js")[0]}`;
const style = output(".css").join("\n");
if (/<\/(script|style)/i.test(script + style)) throw new Error("the bundle would end its own element");

const parts = {
  script, style, sources: hashOfSources(),
  policy: [
    "default-src 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'", "img-src data:",
    `script-src ${policyHash(script)}`, `style-src ${policyHash(style)}`,
  ].join("; "),
};
const page = readFileSync("index.html", "utf8").replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
writeFileSync("../page.html", page);
console.log(`page.html: ${page.length} characters`);
