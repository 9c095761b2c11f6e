// What to type to go on with the job, and the configuration that it runs with.

import { byId, element, keepChildren } from "./dom.js";
import { shellWord } from "./format.js";

export class Commands {
  draw({ config, status, link }) {
    const running = status?.state === "running" && link !== "report";
    const scalable = running && status.round !== null;
    const known = [config, running, scalable, status?.workers_wanted];
    if (!config || known.every((each, index) => each === this.known?.[index])) return;
    this.known = known;
    const directory = shellWord(config.job_dir ?? "JOB_DIR");
    const commands = [
      ["Go on with the job, after it has been cut off, interrupted or failed", config.resume_command],
      ["Watch it in a terminal", running && `elasticdl status ${directory} --watch`],
      ["Train with another number of workers, while it runs", scalable && `elasticdl scale ${directory} --num_workers ${status.workers_wanted + 1}`],
      ["Check that every record was used once", `elasticdl ledger ${directory} --verify`],
      ["Keep this page as a file", link !== "report" && `elasticdl report ${directory} -o report.html`],
    ].filter(([, command]) => command);
    keepChildren(byId("commands"), commands, ([words, command]) => words + command, makeCommand);
    const { resume_command: _, job_dir: __, ...values } = config;
    const rows = flat(values);
    byId("config").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }
}

function makeCommand([words, command]) {
  const code = element("code", { class: "command" }, command);
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${words}` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(command, code)) ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return element("div", {}, element("div", { class: "command-words" }, words),
    element("div", { class: "command-line" }, code, button));
}

/** Copies a text, or selects it where the browser does not let pages copy (plain HTTP). */
async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return false;
  }
}

/** Returns the values of nested objects under dotted names. */
function flat(value, name = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return [[name, typeof value === "string" ? value || "–" : JSON.stringify(value)]];
  }
  return Object.entries(value).flatMap(([key, each]) => flat(each, name ? `${name}.${key}` : key));
}
