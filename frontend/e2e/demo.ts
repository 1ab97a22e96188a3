// Starts `paceline demo` as a person would, in a home of its own, and ends it with Ctrl-C.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_MS = 180_000;
const END_MS = 45_000;

/** A running demo: the address with the login in it, as it was printed. */
export interface Demo {
  address: string;
  origin: string;
  /** Sends Ctrl-C and waits for the end; the exit code. */
  stop: () => Promise<number | null>;
}

function environmentIn(home: string): NodeJS.ProcessEnv {
  const own = { HOME: home, TMPDIR: home, XDG_RUNTIME_DIR: home, NO_COLOR: "1" };
  const folders = {
    XDG_DATA_HOME: "data",
    XDG_CONFIG_HOME: "config",
    XDG_STATE_HOME: "state",
    XDG_CACHE_HOME: "cache",
  };
  const xdg = Object.fromEntries(Object.entries(folders).map(([name, folder]) => [name, join(home, folder)]));
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("PACELINE_"));
  return { ...Object.fromEntries(kept), ...own, ...xdg };
}

/** The first printed address with a login; fails with everything that was printed when there is none. */
function printedAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const fail = (why: string) => reject(new Error(`paceline demo ${why}. It printed:\n${text}`));
    const timer = setTimeout(() => fail(`printed no address within ${START_MS / 1000} s`), START_MS);
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      const address = /http:\/\/127\.0\.0\.1:\d+\/ui\/#token=[\w-]+/.exec(text)?.[0];
      if (!address) return;
      clearTimeout(timer);
      resolve(address);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("exit", (code) => fail(`ended with ${code}`));
  });
}

/** Starts the demo on a free port and waits until its address is printed. */
export async function startDemo(): Promise<Demo> {
  const home = mkdtempSync(join(tmpdir(), "paceline-e2e-"));
  const command = join(ROOT, ".venv/bin/paceline");
  const child = spawn(command, ["demo", "--no-browser"], { cwd: home, env: environmentIn(home), stdio: "pipe" });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    const code = await ended;
    clearTimeout(timer);
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    return code;
  };
  try {
    const address = await printedAddress(child);
    return { address, origin: new URL(address).origin, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
