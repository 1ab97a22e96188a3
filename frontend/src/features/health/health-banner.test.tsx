// The banner over every page: silent while all works, else the reason and what happens to runs.
import { screen } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { connectionKey } from "@/lib/query-client";
import { HEALTH, SERVER_HEALTH } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { server, url } from "@/test/server";
import { HealthBanner } from "./health-banner";

const show = () => renderAt({ path: "/", address: "/" }, <HealthBanner />);

it("says nothing while everything works", async () => {
  const { client } = show();
  await expect.poll(() => client.getQueryData(["health"])).toEqual(SERVER_HEALTH);
  await expect.poll(() => client.getQueryData(["health", "opencode"])).toEqual(HEALTH);
  expect(screen.queryByRole("status")).toBeNull();
  expect(screen.queryByRole("alert")).toBeNull();
});

it("says that OpenCode is away, why, and that runs wait", async () => {
  const down = { ...HEALTH, state: "down", detail: "It ended with code 1." };
  server.use(http.get(url("/health/opencode"), () => HttpResponse.json(down)));
  show();
  await screen.findByText("OpenCode is down: runs wait for it. It ended with code 1.");
});

it("says what is wrong with the database, before anything else", async () => {
  const reason = "No space left for the database.";
  const full = { ...SERVER_HEALTH, status: "unavailable", database: "unavailable", reason };
  server.use(
    http.get(url("/health"), () => HttpResponse.json(full, { status: 503 })),
    http.get(url("/health/opencode"), () => HttpResponse.json({ ...HEALTH, state: "down" })),
  );
  show();
  expect(await screen.findByRole("alert")).toHaveTextContent(`${reason} Nothing is lost: runs wait`);
  expect(screen.queryByText(/OpenCode is down/)).toBeNull();
});

it("says that Paceline itself does not answer", async () => {
  const { client } = show();
  client.setQueryData(connectionKey, "lost");
  expect(await screen.findByRole("alert")).toHaveTextContent("Paceline does not answer. What you see may be old");
});
