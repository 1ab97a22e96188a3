// Brings the event stream into the query cache: live output at once, changed runs read again after a short pause.
import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { queueKey } from "@/features/queue/api";
import type { StreamFrame } from "@/lib/event-stream";
import { isFinal } from "@/lib/status";
import type { AuditFrame, Run, RunPage, RunSummary } from "@/types/api";
import { DECISIONS, readRun, runKeys } from "./api";
import { foldFrame, type LiveStep, NOTHING_YET } from "./live";

const GATHER_MS = 120;
/** After these a step has nothing to show live: its output is in the attempt that ended. */
const BEGINS_AGAIN: ReadonlySet<AuditFrame["type"]> = new Set(["step.reset", "step.retry_scheduled"]);

type RunPages = InfiniteData<RunPage>;

/** Puts a run's newest state into a loaded list; lists without it stay the same object. */
export function patchPages(pages: RunPages, run: RunSummary): RunPages {
  if (!pages.pages.some((page) => page.items.some((item) => item.id === run.id))) return pages;
  const renew = (item: RunSummary) => (item.id === run.id ? run : item);
  return { ...pages, pages: pages.pages.map((page) => ({ ...page, items: page.items.map(renew) })) };
}

/** The part of a whole run that a row of the list holds. */
export function summaryOf(run: Run): RunSummary {
  const { prompt, base_commit, warnings, max_cost_usd, approval, approvals, waiting_reason, requests, steps, ...head } =
    run;
  return { ...head, steps };
}

/** Takes frames for one query client. */
export class RunFeed {
  private readonly client: QueryClient;
  private readonly changed = new Set<number>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: QueryClient) {
    this.client = client;
    client.setQueryDefaults(runKeys.lives, { gcTime: Number.POSITIVE_INFINITY });
  }

  take(frames: StreamFrame[]): void {
    for (const frame of frames) {
      if (frame.event === "audit") this.takeAudit(frame.data);
      else if (frame.event === "reset") this.client.invalidateQueries();
    }
    this.foldLive(frames);
  }

  private foldLive(frames: StreamFrame[]): void {
    const steps = new Set(frames.map((frame) => (frame.event === "audit" ? null : frame.data.step_id)));
    for (const step of steps) {
      if (step === null) continue;
      const own = frames.filter((frame) => frame.data.step_id === step);
      this.client.setQueryData<LiveStep | null>(runKeys.live(step), (live) =>
        own.reduce(foldFrame, live ?? NOTHING_YET),
      );
    }
  }

  private takeAudit({ type, pipeline_id: run, step_id: step }: AuditFrame): void {
    if (type.startsWith("registry.")) this.client.invalidateQueries({ queryKey: ["registry"] });
    if (type.startsWith("queue.")) {
      this.client.invalidateQueries({ queryKey: queueKey });
      // What waits for a place or begins next says so without an event of its own.
      this.client.invalidateQueries({ queryKey: runKeys.all });
    }
    if (run === null) return;
    if (type === "pipeline.restarted") this.dropLive(run);
    if (BEGINS_AGAIN.has(type) && step !== null) this.client.setQueryData<LiveStep | null>(runKeys.live(step), null);
    if (step !== null) this.client.invalidateQueries({ queryKey: runKeys.attempts(run, step) });
    // Whoever reads the changes at a gate keeps what they read; nobody works while it is open.
    if (!type.startsWith("approval.")) this.client.invalidateQueries({ queryKey: runKeys.diff(run) });
    if (DECISIONS.some((kind) => kind === type)) this.client.invalidateQueries({ queryKey: runKeys.decisions(run) });
    this.changed.add(run);
    this.timer ??= setTimeout(() => this.readChanged(), GATHER_MS);
  }

  private dropLive(id: number): void {
    const run = this.client.getQueryData<Run>(runKeys.detail(id));
    for (const step of run?.steps ?? []) this.client.setQueryData<LiveStep | null>(runKeys.live(step.id), null);
  }

  /** What was shown live is stored by now; only a page that still shows it keeps it. */
  private forgetLive(run: Run): void {
    for (const step of run.steps) this.client.removeQueries({ queryKey: runKeys.live(step.id), type: "inactive" });
  }

  private readChanged(): void {
    const ids = [...this.changed];
    this.changed.clear();
    this.timer = undefined;
    for (const id of ids) if (this.isShown(id)) void this.readAgain(id);
  }

  /** Nobody looks at a run that is in no cache; a loaded list wants to know about runs it has not seen. */
  private isShown(id: number): boolean {
    const lists = this.client.getQueryCache().findAll({ queryKey: runKeys.lists });
    return lists.length > 0 || this.client.getQueryData(runKeys.detail(id)) !== undefined;
  }

  private async readAgain(id: number): Promise<void> {
    const run = await readRun(id).catch(() => undefined);
    if (!run) return;
    const summary = summaryOf(run);
    if (this.client.getQueryData(runKeys.detail(id))) this.client.setQueryData(runKeys.detail(id), run);
    this.client.setQueriesData<RunPages>({ queryKey: runKeys.lists }, (pages) => pages && patchPages(pages, summary));
    this.client.setQueryData<RunSummary[]>(runKeys.fresh, (fresh = []) => [
      ...fresh.filter((known) => known.id !== id),
      summary,
    ]);
    if (isFinal(run.status)) this.forgetLive(run);
  }
}

/** The runs that a list does not show yet: newer than its newest row. Empty until the list was read. */
export function unseenRuns(fresh: RunSummary[], pages: RunPages | undefined): RunSummary[] {
  if (!pages) return [];
  const newest = Math.max(0, ...pages.pages.flatMap((page) => page.items.map((item) => item.id)));
  return fresh.filter((run) => run.id > newest);
}
