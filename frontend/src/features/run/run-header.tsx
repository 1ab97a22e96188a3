// The head of a run's page: what it is, how far it is, what it cost, and what can be done with it.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { StatusPill } from "@/components/status-pill";
import { clock, count, dollars, duration, elapsed, exactDollars, ordinal, tokensIn, tokensOut } from "@/lib/format";
import { isFinal, runSign, runWord } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Run } from "@/types/api";
import { RunActions } from "./run-actions";

/** A known cost, "unknown" when tokens were used without a known price, a dash when nothing ran. */
export function costWord({ cost, tokens }: Pick<Run, "cost" | "tokens">): string {
  if (cost !== null) return dollars(cost);
  return tokensIn(tokens) + tokensOut(tokens) > 0 ? "unknown" : "–";
}

function Meta({ run, now }: { run: Run; now: number }) {
  const time = elapsed(run.started_at, run.finished_at, now);
  return (
    <div className="meta">
      <Fact name="template">{run.template ?? "own steps"}</Fact>
      <span>
        in <b className="mono">{showHidden(run.working_dir)}</b>
        {run.branch !== null && (
          <>
            {" "}
            on <b className="mono">{showHidden(run.branch)}</b>
          </>
        )}
      </span>
      <span>
        {run.started_at ? "started" : "created"} <b>{clock(run.started_at ?? run.created_at, now)}</b> by{" "}
        <b>{run.created_by}</b>
      </span>
      {time !== undefined && <Fact name={isFinal(run.status) ? "took" : "elapsed"}>{duration(time)}</Fact>}
      <span>
        cost <b>{costWord(run)}</b>
        {run.max_cost_usd !== null && ` of ${exactDollars(run.max_cost_usd)}`}
      </span>
      <span>
        tokens <b>{count(tokensIn(run.tokens))}</b> in · <b>{count(tokensOut(run.tokens))}</b> out
      </span>
      {run.queue_position !== null && <Fact name="queue">{ordinal(run.queue_position)} for this directory</Fact>}
      {run.attempt > 1 && <Fact name="attempt">{String(run.attempt)}</Fact>}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <span>
      {name} <b>{children}</b>
    </span>
  );
}

export function RunHeader({ run, now }: { run: Run; now: number }) {
  return (
    <header>
      <small>
        <Link to="/runs" className="hover:underline">
          Runs
        </Link>{" "}
        / {run.id}
      </small>
      <div className="flex min-h-8 flex-wrap items-center gap-2.5">
        <h1>{showHidden(run.title)}</h1>
        <span role="status">
          <StatusPill status={runSign(run)}>{runWord(run)}</StatusPill>
        </span>
        <span className="flex-1" />
        <RunActions run={run} />
      </div>
      <Meta run={run} now={now} />
    </header>
  );
}
