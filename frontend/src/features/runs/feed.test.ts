// The event stream in the query cache: changed rows in place, new runs apart, live output at once.
import { waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import type { StreamFrame } from "@/lib/event-stream";
import { createQueryClient } from "@/lib/query-client";
import { aRun, aStep, aSummary, at } from "@/test/fixtures";
import { server, url } from "@/test/server";
import type { AuditFrame } from "@/types/api";
import { runKeys } from "./api";
import { patchPages, RunFeed, summaryOf, unseenRuns } from "./feed";
import { NOTHING_YET } from "./live";

const pagesOf = (...items: ReturnType<typeof aSummary>[]) => ({
  pages: [{ items, next_cursor: null }],
  pageParams: [null],
});

function audit(type: string, run: number, step: number | null = null): StreamFrame {
  const data: AuditFrame = { pipeline_id: run, step_id: step, at: at(0), type, id: 1, actor: "owner", payload: {} };
  return { event: "audit", data };
}

it("renews a row in place and leaves a list without it the same object", () => {
  const pages = pagesOf(aSummary({ id: 2 }), aSummary({ id: 1 }));
  const renewed = patchPages(pages, aSummary({ id: 1, status: "done" }));
  expect(renewed.pages[0]?.items.map((run) => [run.id, run.status])).toEqual([
    [2, "running"],
    [1, "done"],
  ]);
  expect(patchPages(pages, aSummary({ id: 9 }))).toBe(pages);
});

it("keeps only what a row needs of a whole run", () => {
  expect(summaryOf(aRun())).not.toHaveProperty("prompt");
  expect(summaryOf(aRun())).not.toHaveProperty("requests");
  expect(summaryOf(aRun())).toHaveProperty("queue_position");
});

it("holds back runs that are newer than the list, and none before the list is there", () => {
  const fresh = [aSummary({ id: 3 }), aSummary({ id: 1 })];
  expect(unseenRuns(fresh, pagesOf(aSummary({ id: 2 }))).map((run) => run.id)).toEqual([3]);
  expect(unseenRuns(fresh, undefined)).toEqual([]);
});

it("reads a changed run again, once for many events, and puts it into list and page", async () => {
  const client = createQueryClient();
  let asked = 0;
  server.use(
    http.get(url("/pipelines/42"), () => {
      asked += 1;
      return HttpResponse.json(aRun({ status: "done" }));
    }),
  );
  client.setQueryData(runKeys.list({}), pagesOf(aSummary()));
  client.setQueryData(runKeys.detail(42), aRun());
  new RunFeed(client).take([audit("step.done", 42, 11), audit("pipeline.done", 42)]);
  await waitFor(() => expect(client.getQueryData(runKeys.detail(42))).toMatchObject({ status: "done" }));
  expect(client.getQueryData<ReturnType<typeof pagesOf>>(runKeys.list({}))?.pages[0]?.items[0]?.status).toBe("done");
  expect(asked).toBe(1);
});

it("does not ask for runs that nobody looks at", async () => {
  const client = createQueryClient();
  let asked = 0;
  server.use(
    http.get(url("/pipelines/7"), () => {
      asked += 1;
      return HttpResponse.json(aRun({ id: 7 }));
    }),
  );
  new RunFeed(client).take([audit("step.done", 7)]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(asked).toBe(0);
});

it("leaves the changes alone that somebody reads at a gate, and reads them again when a step ends", () => {
  const client = createQueryClient();
  const feed = new RunFeed(client);
  client.setQueryData(runKeys.diff(42), "read at a gate");
  feed.take([audit("approval.reminded", 42)]);
  expect(client.getQueryState(runKeys.diff(42))?.isInvalidated).toBe(false);
  feed.take([audit("step.done", 42)]);
  expect(client.getQueryState(runKeys.diff(42))?.isInvalidated).toBe(true);
});

it("shows live output of its own step only, and forgets it when the run is restarted", () => {
  const client = createQueryClient();
  const feed = new RunFeed(client);
  client.setQueryData(runKeys.detail(42), aRun({ steps: [aStep({ id: 11 })] }));
  const frame = {
    pipeline_id: 42,
    step_id: 11,
    at: at(0),
    type: "delta",
    part_id: "a",
    kind: "text",
    text: null,
  } as const;
  feed.take([
    { event: "delta", data: { ...frame, delta: "Hel" } },
    { event: "delta", data: { ...frame, step_id: 12, delta: "other" } },
    { event: "delta", data: { ...frame, delta: "lo" } },
  ]);
  expect(client.getQueryData(runKeys.live(11))).toMatchObject({ parts: [{ text: "Hello" }] });
  expect(client.getQueryData(runKeys.live(12))).toMatchObject({ parts: [{ text: "other" }] });
  feed.take([audit("pipeline.restarted", 42)]);
  expect(client.getQueryData(runKeys.live(11))).toBeNull();
});

it.each(["step.reset", "step.retry_scheduled"] as const)("forgets what a step showed at %s, and no other's", (type) => {
  const client = createQueryClient();
  const feed = new RunFeed(client);
  client.setQueryData(runKeys.live(11), NOTHING_YET);
  client.setQueryData(runKeys.live(12), NOTHING_YET);
  feed.take([audit(type, 42, 12)]);
  expect(client.getQueryData(runKeys.live(11))).toBe(NOTHING_YET);
  expect(client.getQueryData(runKeys.live(12))).toBeNull();
});

it.each(["request.asked", "request.answered", "request.expired"] as const)("reads a run again at %s", async (type) => {
  const client = createQueryClient();
  server.use(http.get(url("/pipelines/42"), () => HttpResponse.json(aRun({ status: "waiting_for_input" }))));
  client.setQueryData(runKeys.detail(42), aRun());
  new RunFeed(client).take([audit(type, 42, 11)]);
  await waitFor(() => expect(client.getQueryData(runKeys.detail(42))).toMatchObject({ status: "waiting_for_input" }));
});
