// The decision at a gate: a comment for the next step, approve, reject.
import { type KeyboardEvent, useId, useState } from "react";
import { Key } from "@/components/key";
import { ModelChip } from "@/components/model-chip";
import { Notice } from "@/components/notice";
import { useRunAction } from "@/features/runs/api";
import { sentenceOf } from "@/lib/api";
import { modelWhy } from "@/lib/model-why";
import type { Run, Step } from "@/types/api";
import { agentAfter } from "./selection";

function NextStep({ step }: { step: Step | undefined }) {
  if (!step) return <small>Then the run is done.</small>;
  return (
    <div className="flex flex-wrap items-center gap-2.5">
      <small>Then {step.agent_name} on</small>
      <ModelChip model={modelWhy(step)} />
    </div>
  );
}

export function GateDecision({ run, gate }: { run: Run; gate: Step }) {
  const [comment, setComment] = useState("");
  const id = useId();
  const action = useRunAction(run.id);
  const decide = (decision: "approve" | "reject") => action.mutate({ action: decision, comment: comment.trim() });
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !action.isPending) decide("approve");
  };
  return (
    <>
      <div>
        <label className="label" htmlFor={id}>
          Comment <span className="font-normal text-ink-3">goes into the next step’s prompt</span>
        </label>
        <textarea
          id={id}
          className="field"
          rows={2}
          value={comment}
          onChange={(event) => setComment(event.target.value)}
          onKeyDown={onKey}
        />
      </div>
      {action.isError && <Notice tone="bad">{sentenceOf(action.error)}</Notice>}
      <div className="flex flex-wrap items-center gap-2.5">
        <button type="button" className="btn btn-primary" disabled={action.isPending} onClick={() => decide("approve")}>
          Approve <Key>Ctrl ↵</Key>
        </button>
        <button type="button" className="btn btn-bad" disabled={action.isPending} onClick={() => decide("reject")}>
          Reject
        </button>
      </div>
      <NextStep step={agentAfter(run, gate)} />
    </>
  );
}
