// Abort and restart, each only where it is possible; aborting asks first.
import { lazy, Suspense, useState } from "react";
import { Notice } from "@/components/notice";
import { useRunAction } from "@/features/runs/api";
import { sentenceOf } from "@/lib/api";
import { isFinal } from "@/lib/status";
import type { Run } from "@/types/api";

const AbortDialog = lazy(async () => ({ default: (await import("./abort-dialog")).AbortDialog }));

/** The first step that is not done, which is where a restart begins. */
export function restartsAt(run: Pick<Run, "steps">): string {
  const step = run.steps.find((item) => item.status !== "done");
  return step ? `step ${step.order_index + 1}` : "the start";
}

export function RunActions({ run }: { run: Run }) {
  const [asking, setAsking] = useState(false);
  const action = useRunAction(run.id);
  const canRestart = run.status === "failed" || run.status === "aborted";
  return (
    <>
      {canRestart && (
        <button
          type="button"
          className="btn"
          disabled={action.isPending}
          onClick={() => action.mutate({ action: "restart" })}
        >
          {action.isPending ? "Restarting …" : `Restart from ${restartsAt(run)}`}
        </button>
      )}
      {!isFinal(run.status) && (
        <button type="button" className="btn btn-bad" onClick={() => setAsking(true)}>
          Abort
        </button>
      )}
      {asking && (
        <Suspense>
          <AbortDialog run={run} onClose={() => setAsking(false)} />
        </Suspense>
      )}
      {action.isError && (
        <div className="basis-full">
          <Notice tone="bad">{sentenceOf(action.error)}</Notice>
        </div>
      )}
    </>
  );
}
