// Duplicate, restart and abort, each only where it is possible; the last two ask first.
import { lazy, Suspense, useState } from "react";
import { isFinal } from "@/lib/status";
import type { Run } from "@/types/api";
import { DuplicateButton } from "./duplicate-button";

const AbortDialog = lazy(async () => ({ default: (await import("./abort-dialog")).AbortDialog }));
const RestartDialog = lazy(async () => ({ default: (await import("./restart-dialog")).RestartDialog }));

export function RunActions({ run }: { run: Run }) {
  const [asking, setAsking] = useState<"abort" | "restart" | null>(null);
  const canRestart = run.status === "failed" || run.status === "aborted";
  const close = () => setAsking(null);
  return (
    <>
      <DuplicateButton key={run.id} id={run.id} />
      {canRestart && (
        <button type="button" className="btn" onClick={() => setAsking("restart")}>
          Restart from …
        </button>
      )}
      {!isFinal(run.status) && (
        <button type="button" className="btn btn-bad" onClick={() => setAsking("abort")}>
          Abort
        </button>
      )}
      <Suspense>
        {asking === "abort" && <AbortDialog run={run} onClose={close} />}
        {asking === "restart" && <RestartDialog run={run} onClose={close} />}
      </Suspense>
    </>
  );
}
