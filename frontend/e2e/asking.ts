// Runs whose agent asks a person: questions, a permission that is given, one that is not, and an abort meanwhile.
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { expectAccessible, expectNoSideScroll } from "./watched-page";

const MESSAGE = "Not before the tests ran on another machine.";
const OWN_WORDS = "The new price of tea";
const ASK_MS = 60_000;

/** A page of a running demo, and a directory to work in. */
export interface Asking {
  page: () => Page;
  origin: () => string;
  directory: () => string;
}

/** Adds the tests about requests of agents to those of the demo, in which they start two runs. */
export function testRequests({ page, origin, directory }: Asking): void {
  const pill = (word: string) => page().locator("header .pill", { hasText: word });
  const box = (name: RegExp) => page().getByRole("region", { name });
  const press = (name: string) => page().getByRole("button", { name, exact: true }).click();
  let run = "";

  it(
    "shows all questions of an agent, in the list of what waits too, and after a reload",
    async () => {
      await page().goto(`${origin()}/ui/new`);
      await page().getByText("ask_first", { exact: true }).click();
      await page().getByLabel("Task").fill("Prepare the next release.");
      await page().getByLabel("Directory").fill(directory());
      await page().getByRole("button", { name: "Start" }).click();
      await page().waitForURL(/\/ui\/runs\/\d+$/);
      run = page().url();
      const asked = box(/^Request \d+: question$/);
      await asked.getByRole("group", { name: /^Which number/ }).waitFor({ timeout: ASK_MS });
      await asked.getByRole("group", { name: /^What shall the announcement/ }).waitFor();
      await pill("Waiting for you").waitFor();
      await expectAccessible(page());
      await page().goto(`${origin()}/ui/runs?status=waiting`);
      await page().getByText("release_manager asks you").waitFor();
      await page().goto(run);
      await page().reload();
      await asked.waitFor();
      await page().setViewportSize({ width: 320, height: 720 });
      await expectNoSideScroll(page());
      await page().setViewportSize({ width: 1360, height: 860 });
    },
    ASK_MS + 60_000,
  );

  it("gives each question its own answer, of several choices or in own words", async () => {
    await press("Answer");
    await page().getByText("Answer each question first.").waitFor();
    await page()
      .getByRole("radio", { name: /^1\.3\.0/ })
      .check();
    await page()
      .getByRole("checkbox", { name: /^The free shipping/ })
      .check();
    await page().getByLabel("or in your own words").last().fill(OWN_WORDS);
    await press("Answer");
    await box(/^Request \d+: bash$/).waitFor();
  });

  it("shows the whole command that an agent wants to run, and takes a yes and a no with its reason", async () => {
    await page().locator(".gate pre", { hasText: "git log --oneline -3" }).waitFor();
    await expectAccessible(page());
    await press("Allow once");
    await page().locator(".gate pre", { hasText: "git tag release-candidate" }).waitFor();
    await page().getByLabel("Message", { exact: false }).fill(MESSAGE);
    await press("Reject");
    await pill("Done").waitFor({ timeout: ASK_MS });
    expect(await box(/^Request/).count()).toBe(0);
  });

  it("tells the agent every answer, and keeps who gave it", async () => {
    await page().getByRole("tab", { name: "Hand-off" }).click();
    const told = page().locator(".hand");
    for (const words of ["1.3.0", "The free shipping", OWN_WORDS, MESSAGE]) {
      await told.getByText(words, { exact: false }).first().waitFor();
    }
    const decisions = page().getByRole("region", { name: "Decisions" });
    for (const words of [`1.3.0 · The free shipping · ${OWN_WORDS}`, "git log --oneline -3", MESSAGE]) {
      await decisions.getByText(words).waitFor();
    }
    await expect.poll(() => page().locator('.lane .span[data-kind="wait"]').count()).toBe(3);
    await expectAccessible(page());
  });

  it(
    "takes the request away when the run is aborted",
    async () => {
      await press("Duplicate");
      await page().waitForURL((address) => address.href !== run && /\/runs\/\d+$/.test(address.pathname));
      await box(/^Request/).waitFor({ timeout: ASK_MS });
      await press("Abort");
      await press("Abort the run");
      await pill("Aborted").waitFor();
      await box(/^Request/).waitFor({ state: "detached" });
      const open = await page().evaluate(async () => (await fetch("/requests?status=pending")).json());
      expect(open.items).toEqual([]);
    },
    ASK_MS + 30_000,
  );
}
