// What the legend of the timeline explains: every hatching that is drawn, and no other.
import { screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { aRun, at } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { Timeline } from "./timeline";

const show = (startedAt: string) =>
  renderAt(
    { path: "/runs/1", address: "/runs/1" },
    <Timeline run={aRun({ started_at: startedAt })} now={Date.parse(at(200))} />,
  );

it("explains the time in line when there was some", async () => {
  show(at(30));
  expect(await screen.findByText("in line")).toBeDefined();
});

it("says nothing of a line in which nobody stood", async () => {
  show(at(0.4));
  await screen.findByText("waiting");
  expect(screen.queryByText("in line")).toBeNull();
});
