// Completes package-lock.json with the optional packages of other systems, which npm leaves out. --check only looks.
//
// npm writes only those platform packages into the lock that it could install or look up here, and `npm ci` then fails
// on the other systems. This script adds them from their parents' optionalDependencies. Usage:
//   node scripts/complete_lock.mjs [--check] [LOCK]
import { readFileSync, writeFileSync } from "node:fs";

const OS = { darwin: "darwin", linux: "linux", windows: "win32", win32: "win32", freebsd: "freebsd", android: "android" };
const CPU = ["x64", "arm64", "arm", "ia32", "ppc64", "riscv64", "s390x", "wasm32"];
const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

// Packages that hold the same bytes as another one, so that a checkout installs only one of the two. Whoever raises
// the version compares both `bin/opencode` files again and then changes the version here (or takes the line out).
const TWINS = { "node_modules/opencode-linux-x64-baseline": "1.18.33" };

/** Where Node would find `name` from the folder `from`, or undefined. */
function lookUp(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf("/"), 0))) {
    const key = folder ? `${folder}/node_modules/${name}` : `node_modules/${name}`;
    if (packages[key]) return key;
    if (!folder) return undefined;
  }
}

/** The `cpu`, `os` and `libc` that a platform package's own name tells. */
function systemOf(name) {
  const parts = name.split("/").pop().split("-");
  const cpu = parts.find((part) => CPU.includes(part));
  const os = parts.map((part) => OS[part]).find(Boolean);
  if (!cpu || !(os || cpu === "wasm32")) throw new Error(`${name} does not tell its system`);
  const musl = parts.some((part) => part.startsWith("musl"));
  const gnu = os === "linux" && parts.some((part) => part.startsWith("gnu"));
  const libc = musl || gnu ? { libc: [musl ? "musl" : "glibc"] } : {};
  return { cpu: [cpu], ...libc, ...(os ? { os: [os] } : {}) };
}

function entryFor(name, version, parent) {
  if (!EXACT.test(version)) throw new Error(`${name}: "${version}" is a range, so its version is unknown here`);
  const inherited = ["dev", "devOptional", "peer"].filter((flag) => parent[flag]).map((flag) => [flag, true]);
  const fields = [...Object.entries(systemOf(name)), ...inherited, ["optional", true]];
  return { version, ...Object.fromEntries(fields.sort(([a], [b]) => a.localeCompare(b, "en"))) };
}

/** Adds what is missing and repairs what has another version than its parent asks for; says what it did. */
function addPlatforms(packages) {
  const done = [];
  for (const [path, parent] of Object.entries(packages)) {
    for (const [name, wanted] of Object.entries(parent.optionalDependencies ?? {})) {
      const found = lookUp(packages, path, name);
      if (found && (!EXACT.test(wanted) || packages[found].version === wanted)) continue;
      packages[found ?? `node_modules/${name}`] = entryFor(name, wanted, parent);
      done.push(`${name}@${wanted} (for ${path})`);
    }
  }
  return done;
}

/** Marks each twin as made for no processor, which is what makes `npm ci` pass it by. */
function passTwinsBy(packages) {
  const done = [];
  for (const [path, version] of Object.entries(TWINS)) {
    const entry = packages[path];
    if (!entry || entry.cpu?.[0] === "none") continue;
    if (entry.version !== version) throw new Error(`${path} is now ${entry.version}: compare it with its twin again`);
    entry.cpu = ["none"];
    done.push(`${path} marked as a twin`);
  }
  return done;
}

/** What no run of this script can repair, each as a sentence. */
function faults(packages) {
  const entries = Object.entries(packages);
  const found = entries
    .filter(([, entry]) => /^https?:/.test(entry.resolved ?? ""))
    .map(([path]) => `${path} names the address it came from`);
  for (const [path, version] of Object.entries(TWINS))
    if (packages[path] && packages[path].version !== version)
      found.push(`${path} is ${packages[path].version}, and only ${version} was compared with its twin`);
  if (entries.some(([path]) => path.includes("-musl")) && !entries.some(([, entry]) => entry.libc))
    found.push("no entry has a libc field: npm 10 wrote this lock, use npm 11");
  return found;
}

function main() {
  const check = process.argv.includes("--check");
  const file = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? "package-lock.json";
  const lock = JSON.parse(readFileSync(file, "utf8"));
  const problems = faults(lock.packages);
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const done = [...addPlatforms(lock.packages), ...passTwinsBy(lock.packages)];
  if (check && done.length > 0)
    throw new Error(`${file} is incomplete, run: node scripts/complete_lock.mjs\n  ${done.join("\n  ")}`);
  // npm's own order: any other makes the next `npm install` rewrite the whole file.
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"));
  if (!check) writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
  console.log(done.length > 0 ? `completed: ${done.length} entries` : `${file} is complete`);
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
