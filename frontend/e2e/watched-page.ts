// A browser page that notes what must not happen: errors in its console, and requests to other origins.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

interface AxeFinding {
  id: string;
  nodes: { target: string[]; failureSummary: string }[];
}

export interface WatchedPage {
  page: Page;
  /** Everything that must not have happened so far. */
  faults: string[];
}

/** Opens a page of its own context; faults are gathered from the first request on. */
export async function openPage(browser: Browser, origin: string, width = 1360): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width, height: 860 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`foreign request: ${request.url()}`);
  });
  page.setDefaultTimeout(20_000);
  return { page, faults };
}

async function findings(page: Page): Promise<string[]> {
  // The page's content policy forbids inline scripts; what the browser's own protocol evaluates is exempt.
  await page.evaluate(AXE);
  const run = (rules: string[]) =>
    (
      globalThis as unknown as {
        axe: { run: (context: Document, options: object) => Promise<{ violations: AxeFinding[] }> };
      }
    ).axe
      .run(document, { runOnly: rules })
      .then(({ violations }) => violations);
  const violations = await page.evaluate(run, RULES);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary}`),
  );
}

/** Fails when axe finds anything, in light or in dark. */
export async function expectAccessible(page: Page): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect((await findings(page)).join("\n"), `axe on ${page.url()} in ${colorScheme}`).toBe("");
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/** Fails when the page is wider than its window. */
export async function expectNoSideScroll(page: Page): Promise<void> {
  const [width, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(width, `width of ${page.url()}`).toBeLessThanOrEqual(window ?? 0);
}
