// Runs lint_texts.py in Pyodide: node run.mjs SITE TEXTS REPORT
// SITE is a folder of installed packages, TEXTS a JSON file of texts by name, REPORT is written.
import { readFileSync, writeFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const [site, texts, report] = process.argv.slice(2);
const pyodide = await loadPyodide();
pyodide.FS.mkdirTree("/site");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: site }, "/site");
pyodide.globals.set("given", readFileSync(texts, "utf8"));
pyodide.globals.set("program", readFileSync(new URL("lint_texts.py", import.meta.url), "utf8"));
const made = pyodide.runPython(`
import json, sys
sys.path.insert(0, "/site")
names = {"__name__": "lint_texts"}
exec(compile(program, "lint_texts.py", "exec"), names)
names["report"](json.loads(given))
`);
const where = pyodide.runPython("sys.platform");
if (where !== "emscripten") throw new Error(`this is ${where}`);
writeFileSync(report, made);
