// Runs as the API serves them: query keys, and how each is read.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "@/lib/api";
import { isFinal } from "@/lib/status";
import type { Attempt, AuditType, Run } from "@/types/api";
import { type RunFilters, statusesOf } from "./filters";
import type { LiveStep } from "./live";

export const PAGE_SIZE = 50;
const RECENT = 20;
const RENEW_MS = 5_000;

export const runKeys = {
  all: ["runs"] as const,
  lists: ["runs", "list"] as const,
  list: (filters: RunFilters) => ["runs", "list", filters] as const,
  recent: ["runs", "recent"] as const,
  fresh: ["runs", "fresh"] as const,
  details: ["runs", "detail"] as const,
  detail: (id: number) => ["runs", "detail", id] as const,
  attempts: (id: number, stepId: number) => ["runs", "attempts", id, stepId] as const,
  diff: (id: number) => ["runs", "diff", id] as const,
  decisions: (id: number) => ["runs", "decisions", id] as const,
  requests: (id: number) => ["runs", "decisions", id, "requests"] as const,
  lives: ["runs", "live"] as const,
  live: (stepId: number) => ["runs", "live", stepId] as const,
};

/** The list under its filters, page by page, newest first. */
export function runListOptions(filters: RunFilters) {
  const query = { status: statusesOf(filters), template: filters.template, q: filters.q, limit: PAGE_SIZE };
  return infiniteQueryOptions({
    queryKey: runKeys.list(filters),
    queryFn: ({ pageParam, signal }) => {
      const cursor = pageParam === null ? {} : { cursor: pageParam };
      return answerOf(api.GET("/pipelines", { params: { query: { ...withoutEmpty(query), ...cursor } }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

/** The newest runs, for suggestions of directories. */
export const recentRunsOptions = queryOptions({
  queryKey: runKeys.recent,
  queryFn: ({ signal }) => answerOf(api.GET("/pipelines", { params: { query: { limit: RECENT } }, signal })),
});

/** How often a run is read again: why a queued one waits has no event, and without the stream nothing has. */
function renewalOf(run: Run | undefined, poll: boolean): number | false {
  if (!run || isFinal(run.status)) return false;
  return poll || run.status === "pending" || run.waiting_for !== null ? RENEW_MS : false;
}

/** One run; `poll` reads it again every few seconds while the event stream is broken. */
export function runOptions(id: number, poll = false) {
  return queryOptions({
    queryKey: runKeys.detail(id),
    queryFn: ({ signal }) => readRun(id, signal),
    refetchInterval: (query) => renewalOf(query.state.data, poll),
  });
}

/** Reads one run. */
export function readRun(id: number, signal?: AbortSignal): Promise<Run> {
  return answerOf(
    api.GET("/pipelines/{pipeline_id}", { params: { path: { pipeline_id: id } }, ...(signal && { signal }) }),
  );
}

/** All tries at a step, with prompts and transcripts. */
export function attemptsOptions(id: number, stepId: number) {
  const path = { pipeline_id: id, step_id: stepId };
  return queryOptions({
    queryKey: runKeys.attempts(id, stepId),
    queryFn: async ({ signal }) => {
      const list = await answerOf(
        api.GET("/pipelines/{pipeline_id}/steps/{step_id}/attempts", { params: { path }, signal }),
      );
      return list.items as Attempt[];
    },
  });
}

/** What changed in the run's directory. */
export function diffOptions(id: number) {
  return queryOptions({
    queryKey: runKeys.diff(id),
    queryFn: ({ signal }) =>
      answerOf(api.GET("/pipelines/{pipeline_id}/diff", { params: { path: { pipeline_id: id } }, signal })),
  });
}

/** What people decide about a run, and what the deadline of a request decides in their place. */
export const DECISIONS: readonly AuditType[] = [
  "pipeline.created",
  "pipeline.aborted",
  "pipeline.restarted",
  "step.model_changed",
  "handoff.edited",
  "approval.approved",
  "approval.rejected",
  "approval.changes_requested",
  "request.answered",
  "request.denied",
  "request.expired",
];
const MOST_DECISIONS = 200;

/** The decisions about a run, newest first. */
export function decisionsOptions(id: number) {
  const query = { pipeline_id: id, type: [...DECISIONS], limit: MOST_DECISIONS };
  return queryOptions({
    queryKey: runKeys.decisions(id),
    queryFn: ({ signal }) => answerOf(api.GET("/audit", { params: { query }, signal })),
  });
}

/** What agents of a run asked people, newest first. Its key lies below the decisions: each is one of them. */
export function requestsOptions(id: number) {
  const query = { pipeline_id: id, limit: MOST_DECISIONS };
  return queryOptions({
    queryKey: runKeys.requests(id),
    queryFn: ({ signal }) => answerOf(api.GET("/requests", { params: { query }, signal })),
  });
}

/** What a running step shows; filled by the event stream alone, and kept as long as the page is open. */
export function liveOptions(stepId: number) {
  return queryOptions<LiveStep | null>({
    queryKey: runKeys.live(stepId),
    queryFn: () => null,
    enabled: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  });
}

function withoutEmpty<Query extends object>(query: Query): { [Key in keyof Query]: Exclude<Query[Key], undefined> } {
  const entries = Object.entries(query).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof Query]: Exclude<Query[Key], undefined> };
}
