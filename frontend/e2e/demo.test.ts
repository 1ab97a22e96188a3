// The whole demo in a real browser: log in, watch the run, decide, look at everything it left; then runs of one's own.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { testRequests } from "./asking";
import { launchBrowser } from "./browser";
import { type Demo, startDemo } from "./demo";
import { expectAccessible, expectNoSideScroll, openPage, type WatchedPage } from "./watched-page";

const GATE_MS = 180_000;
const COMMENT = "Say it in one sentence, please.";
const EDIT = "Mind the rounding of half cents.";

let browser: Browser;
let demo: Demo;
let watched: WatchedPage;
let page: Page;
let place = "";

const pill = (word: string) => page.locator("header .pill", { hasText: word });
const stepLink = (name: string) => page.getByRole("link", { name: new RegExp(`^${name}`) });
const directory = async () => (await page.locator("header .meta .mono").first().textContent()) ?? "";

beforeAll(async () => {
  browser = await launchBrowser();
  demo = await startDemo();
  watched = await openPage(browser, demo.origin);
  page = watched.page;
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await demo?.stop();
}, 60_000);

it("asks for a login, refuses a wrong token, and takes the printed address's without keeping it there", async () => {
  const stranger = await openPage(browser, demo.origin);
  await stranger.page.goto(`${demo.origin}/ui/runs`);
  await stranger.page.getByRole("heading", { name: "Log in to Paceline" }).waitFor();
  await expectAccessible(stranger.page);
  await stranger.page.getByLabel("Token").fill("wrong");
  await stranger.page.getByRole("button", { name: "Log in" }).click();
  await stranger.page.getByText("This token is not the server's.", { exact: false }).waitFor();
  await stranger.page.context().close();

  await page.goto(demo.address);
  await page.getByRole("heading", { name: "Runs" }).waitFor();
  expect(page.url()).toBe(`${demo.origin}/ui/runs`);
  expect(await page.evaluate(() => document.cookie)).toBe("");
});

it("shows the demo's run in the list, live, and opens it by keyboard", async () => {
  await page.getByText("live", { exact: true }).waitFor();
  await page.locator(".runs-table .pip").first().waitFor();
  await expectAccessible(page);
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/ui/runs/1");
});

it(
  "shows an agent's words and tools as they come, until the run waits for a person",
  async () => {
    await page.locator(".log .tool, .log .prose").first().waitFor();
    await expectAccessible(page);
    await pill("Waiting for you").waitFor({ timeout: GATE_MS });
  },
  GATE_MS + 30_000,
);

it("says for each step which model ran and why, each step another one", async () => {
  const chips = await page.locator(".steps .model").allTextContents();
  expect(chips.map((chip) => chip.replace(/^scripted\//, ""))).toEqual([
    "atlas-1agent default",
    "forge-2template",
    "probe-minithis run",
    "quill-1template",
  ]);
});

it("puts question, hand-off and changes before the person who decides", async () => {
  const gate = page.getByRole("region", { name: "Approval" });
  for (const section of ["What was done", "Decisions made", "Open questions", "Next agent context"]) {
    await gate.getByRole("heading", { name: section }).waitFor();
  }
  await gate.locator(".diff-code-insert").first().waitFor();
  expect(await gate.locator(".diff-file").count()).toBeGreaterThan(1);
  await expectAccessible(page);
});

it("refuses to approve changes that nobody was shown, and shows them", async () => {
  place = await directory();
  const stray = join(place, "stray.txt");
  writeFileSync(stray, "written by somebody else\n");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByText("have changed since the changes were shown to you", { exact: false }).waitFor();
  await page.locator(".diff-file", { hasText: "stray.txt" }).waitFor();
  rmSync(stray);
  await page.getByRole("button", { name: "Approve" }).click();
  await page.locator(".diff-file", { hasText: "stray.txt" }).waitFor({ state: "detached" });
  await pill("Waiting for you").waitFor();
});

it(
  "goes on after the approval, with comment and edited hand-off in the next prompt, and ends done",
  async () => {
    await page.getByRole("button", { name: "Edit before it goes on" }).click();
    const handoff = page.getByLabel("Hand-off", { exact: false });
    await handoff.fill(`${await handoff.inputValue()}\n${EDIT}\n`);
    await page.getByLabel("Comment", { exact: false }).fill(COMMENT);
    await page.getByRole("button", { name: "Approve" }).click();
    await pill("Done").waitFor({ timeout: GATE_MS });
    await page.getByText(`“${COMMENT}”`, { exact: false }).waitFor();
    await stepLink("3 qa").click();
    await page.getByRole("tab", { name: "Hand-off" }).click();
    await page.locator(".hand", { hasText: EDIT }).waitFor();
    await page.getByRole("button", { name: "show original" }).click();
    expect(await page.locator(".hand").textContent()).not.toContain(EDIT);
    await stepLink("5 release_editor").click();
    await page.getByRole("tab", { name: "Prompt" }).click();
    await page.locator("pre", { hasText: COMMENT }).waitFor();
    await page.locator("pre", { hasText: EDIT }).waitFor();
  },
  GATE_MS + 30_000,
);

it("shows everything again after a reload, from what was stored", async () => {
  await page.reload();
  await page.locator("pre", { hasText: COMMENT }).waitFor();
  await stepLink("2 developer").click();
  await page.getByRole("tab", { name: "Output" }).click();
  await page.locator(".tool", { hasText: "bash" }).first().click();
  await page.locator(".tool-body").first().waitFor();
  for (const [tab, content] of [
    ["Output", ".tool-body"],
    ["Hand-off", ".hand section"],
    ["Changes", ".diff-file"],
    ["Prompt", ".tab-panel pre"],
    ["Details", ".facts dd"],
  ] as const) {
    await page.getByRole("tab", { name: tab }).click();
    await page.locator(content).first().waitFor();
    await expectAccessible(page);
  }
  expect(await page.locator(".facts").textContent()).toContain("scripted/forge-2");
});

it("starts a run with a model chosen for one step, and shows the server's refusals at their fields", async () => {
  await page.keyboard.press("c");
  await page.getByRole("radio", { name: /^guided_fix/ }).waitFor();
  await expectAccessible(page);
  await page.getByLabel("Task").fill("The same again, please.");
  await page.getByLabel("Directory").fill("/nowhere/at/all");
  await page.getByRole("button", { name: "Start" }).click();
  await page.locator(".field-error", { hasText: "nowhere" }).waitFor();
  await page.getByLabel("Directory").fill(place);
  await page.getByRole("combobox", { name: /^Model of step 1,/ }).click();
  await page.getByLabel("Search models").fill("quill");
  await expectAccessible(page);
  await page.getByRole("option", { name: /quill-1/ }).click();
  await page.getByRole("button", { name: "Start" }).click();
  await page.waitForURL("**/ui/runs/2");
  await page.locator(".steps .model", { hasText: "quill-1this run" }).waitFor();
});

it("aborts after a question and restarts as a new attempt", async () => {
  await pill("Running").waitFor();
  await page.getByRole("button", { name: "Abort", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Abort the run" }).click();
  await pill("Aborted").waitFor();
  await page.getByRole("button", { name: "Restart from …" }).click();
  await page.getByLabel("Begin again with step").waitFor();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await pill("Running").waitFor();
  await page.getByText("attempt 2", { exact: false }).first().waitFor();
});

it(
  "sends the run back from the gate with a wish, which the agent gets as a new attempt",
  async () => {
    await pill("Waiting for you").waitFor({ timeout: GATE_MS });
    await page.getByRole("button", { name: "Edit before it goes on" }).click();
    await page.getByRole("button", { name: "change model" }).click();
    await page.getByRole("combobox", { name: /^Model of step 5/ }).waitFor();
    await expectAccessible(page);
    await page.getByLabel("Comment", { exact: false }).fill(COMMENT);
    await page.getByRole("button", { name: "Request changes → " }).click();
    await pill("Running").waitFor();
    await page.getByText("attempt 3", { exact: false }).first().waitFor();
  },
  GATE_MS + 30_000,
);

it(
  "rejects at the gate, which fails the run and skips the rest",
  async () => {
    await pill("Waiting for you").waitFor({ timeout: GATE_MS });
    await page.getByRole("button", { name: "Reject" }).click();
    await pill("Rejected").waitFor();
    await page
      .locator(".step", { hasText: "5 release_editor" })
      .getByText("skipped", { exact: false })
      .first()
      .waitFor();
  },
  GATE_MS + 30_000,
);

it("duplicates a run, with the same task and models", async () => {
  await page.getByRole("button", { name: "Duplicate" }).click();
  await page.waitForURL("**/ui/runs/3");
  await page.locator(".steps .model", { hasText: "quill-1" }).first().waitFor();
  await page.getByRole("button", { name: "Abort", exact: true }).click();
  await page.getByRole("button", { name: "Abort the run" }).click();
  await pill("Aborted").waitFor();
});

it("filters the list by the address", async () => {
  await page.getByRole("link", { name: "Runs", exact: true }).first().click();
  await page.getByRole("button", { name: "Done" }).click();
  await page.waitForURL("**/ui/runs?status=done");
  await page.getByRole("link", { name: "Free shipping is missing", exact: false }).waitFor();
  expect(await page.locator(".runs-table tbody tr").count()).toBe(1);
});

testRequests({ page: () => page, origin: () => demo.origin, directory: () => place });

it("remembers a chosen theme across a reload", async () => {
  await page.getByRole("button", { name: "Dark theme" }).click();
  await page.reload();
  expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(19, 20, 22)");
  await page.getByRole("button", { name: "Theme of the system" }).click();
});

it("logs out, and stays out after a reload", async () => {
  const leaving = await openPage(browser, demo.origin);
  await leaving.page.goto(demo.address);
  await leaving.page.getByRole("button", { name: "log out" }).click();
  await leaving.page.getByRole("heading", { name: "Log in to Paceline" }).waitFor();
  await leaving.page.reload();
  await leaving.page.getByRole("heading", { name: "Log in to Paceline" }).waitFor();
  await leaving.page.context().close();
});

it("fits into 320 pixels without scrolling sideways", async () => {
  await page.setViewportSize({ width: 320, height: 720 });
  for (const path of ["runs", "runs/1", "runs/1?step=4", "runs/1?step=2&tab=changes", "runs/1?tab=details", "new"]) {
    await page.goto(`${demo.origin}/ui/${path}`);
    await page.locator("h1").waitFor();
    await page.waitForLoadState("domcontentloaded");
    await page.locator(".panel").last().waitFor();
    await expectNoSideScroll(page);
  }
  await expectAccessible(page);
});

it("had no error in the console and asked no other origin, all the time", () => {
  // The refusals that this file asks for, of a directory that does not exist and of changes that nobody saw, are
  // lines of the browser's own.
  const refusals = watched.faults.filter((fault) => /422|409/.test(fault));
  expect(refusals.length).toBeLessThanOrEqual(6);
  expect(watched.faults.filter((fault) => !refusals.includes(fault))).toEqual([]);
});

it("ends by Ctrl-C", async () => {
  await page.close();
  expect([0, 130]).toContain(await demo.stop());
});
