// The list of runs on the page.
import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { aSummary } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { runKeys } from "./api";
import { readFilters } from "./filters";
import { RunsPage } from "./runs-page";

const show = (address = "/runs") =>
  renderAt({ path: "/runs", address, validateSearch: (search) => ({ ...readFilters(search) }) }, <RunsPage />);

it("shows state, place, steps and figures of a run, and the next page on demand", async () => {
  server.use(
    http.get(url("/pipelines"), ({ request }) => {
      const cursor = new URL(request.url).searchParams.get("cursor");
      if (cursor === "older")
        return HttpResponse.json({ items: [aSummary({ id: 1, title: "Older" })], next_cursor: null });
      return HttpResponse.json({
        items: [aSummary({ status: "failed", error_message: "quota" })],
        next_cursor: "older",
      });
    }),
  );
  show();
  const row = (await screen.findByText("Fix flaky login test")).closest("tr") ?? expect.unreachable();
  expect(within(row).getByText("Failed")).toBeInTheDocument();
  expect(within(row).getByText("quick_fix · webshop · main")).toBeInTheDocument();
  expect(within(row).getByText("quota")).toBeInTheDocument();
  expect(within(row).getByText("$0.12")).toBeInTheDocument();
  expect(within(row).getByRole("img")).toHaveAccessibleName("Steps: 1 developer pending");
  await userEvent.click(screen.getByRole("button", { name: "Older runs" }));
  expect(await screen.findByText("Older")).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: "Older runs" })).toBeNull();
});

it("holds new runs back until they are asked for", async () => {
  const runs = [aSummary({ id: 5 })];
  server.use(http.get(url("/pipelines"), () => HttpResponse.json({ items: runs, next_cursor: null })));
  const { client } = show();
  await screen.findByText("Fix flaky login test");
  runs.unshift(aSummary({ id: 6, title: "Brand new" }));
  client.setQueryData(runKeys.fresh, [aSummary({ id: 6, title: "Brand new" })]);
  await userEvent.click(await screen.findByRole("button", { name: "1 new ↑" }));
  expect(await screen.findByText("Brand new")).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: /new ↑/ })).toBeNull();
});

it("asks with the filters of the address, and changes the address by a click", async () => {
  const asked: string[] = [];
  server.use(
    http.get(url("/pipelines"), ({ request }) => {
      asked.push(new URL(request.url).search);
      return HttpResponse.json({ items: [], next_cursor: null });
    }),
  );
  const { router } = show("/runs?status=active&q=login");
  expect(await screen.findByText("No run passes these filters.")).toBeInTheDocument();
  expect(asked[0]).toBe("?status=pending&status=running&q=login&limit=50");
  await userEvent.click(screen.getByRole("button", { name: "Active" }));
  await waitFor(() => expect(router.state.location.search).toEqual({ q: "login" }));
});

it("says what to do when there is no run yet, and why when there is no answer", async () => {
  show();
  expect(await screen.findByText(/^paceline run quick_fix/)).toBeInTheDocument();
});

it("says why the list cannot be shown", async () => {
  server.use(http.get(url("/pipelines"), () => problem(503, "database_unavailable", "The database is locked.")));
  show();
  expect(await screen.findByText("The database is locked.")).toBeInTheDocument();
});
