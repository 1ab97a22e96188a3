// Checks that what a browser loads before the first page shows stays small: the entry, compressed, within a budget.
// Usage: node scripts/check_budget.mjs [FOLDER of the built page]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
const folder = process.argv[2] ?? "backend/app/static";
const page = readFileSync(join(folder, "index.html"), "utf8");
const scripts = [...page.matchAll(/(?:src|href)="\/ui\/(assets\/[^"]+\.js)"/g)].map((match) => match[1]);
const sizes = scripts.map((name) => gzipSync(readFileSync(join(folder, name))).length);
const total = sizes.reduce((sum, size) => sum + size, 0);
const verdict = `the entry is ${Math.round(total / 1000)} kB compressed, the budget ${BUDGET / 1000} kB`;

if (scripts.length === 0) console.error(`${folder}/index.html loads no script below /ui/assets/`);
else if (total > BUDGET) console.error(`${verdict}: ${scripts.join(", ")}`);
else console.log(verdict);
process.exit(scripts.length === 0 || total > BUDGET ? 1 : 0);
