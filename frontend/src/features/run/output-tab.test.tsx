// What the output of a step says beside the agent's words.
import { screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { anAttempt, aRun, aStep, NOW } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { OutputTab } from "./output-tab";

it("says that an interrupted attempt may have used its tools twice", async () => {
  const note = "OpenCode went away while this step ran and was asked again: tools may have run twice.";
  const attempt = anAttempt({ note });
  const step = aStep({ status: "done", attempts: 1 });
  const view = { run: aRun(), step, now: NOW, attempts: [attempt], attempt, isNewest: true };
  renderAt({ path: "/", address: "/" }, <OutputTab view={view} />);
  const said = await screen.findByText(note, { exact: false });
  expect(said).toHaveTextContent("About limits");
});
