// Asks where a run begins again, and on which models.
import { useId, useState } from "react";
import { Dialog } from "@/components/dialog";
import { Notice } from "@/components/notice";
import type { Choices } from "@/features/new-run/choice";
import { fieldErrors } from "@/features/new-run/field-errors";
import type { Run, Step } from "@/types/api";
import { useDecision } from "./decide";
import { restart, restartable } from "./decision-body";
import { ModelChoices } from "./model-choices";

interface StartProps {
  steps: Step[];
  start: number;
  onStart: (index: number) => void;
}

/** A step that has worked before begins anew on what it left. */
function SideEffects({ step }: { step: Step | undefined }) {
  if (!step || step.attempts === 0) return null;
  const how = step.error_code === "interrupted" ? "was interrupted" : "has worked before";
  return (
    <p className="field-hint">
      Step {step.order_index + 1} {how}: the files stay as they are now, and its tools may do again what they did then.
    </p>
  );
}

function StartField({ steps, start, onStart }: StartProps) {
  const id = useId();
  return (
    <div>
      <label className="label" htmlFor={id}>
        Begin again with step
      </label>
      <select
        id={id}
        className="select max-w-full"
        value={start}
        onChange={(event) => onStart(Number(event.target.value))}
      >
        {steps.map((step) => (
          <option key={step.id} value={step.order_index}>
            {step.order_index + 1} {step.agent_name ?? "approval"}
          </option>
        ))}
      </select>
      <p className="field-hint">It and all later steps run as a new attempt; what was done before is kept.</p>
      <SideEffects step={steps.find((step) => step.order_index === start)} />
    </div>
  );
}

export function RestartDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const steps = restartable(run);
  const [start, setStart] = useState(steps.at(-1)?.order_index ?? 0);
  const [models, setModels] = useState<Choices>({});
  const action = useDecision(run.id);
  const agents = run.steps.filter((step) => step.type === "agent" && step.order_index >= start);
  const { rest } = fieldErrors(action.error);
  const send = () => action.mutate({ action: "restart", body: restart(start, models) }, { onSuccess: onClose });
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title="Restart this run">
      <div className="mt-3 grid grid-cols-[minmax(0,1fr)] gap-4">
        <StartField steps={steps} start={start} onStart={setStart} />
        <ModelChoices run={run} steps={agents} chosen={models} error={action.error} onChoose={setModels} />
        {rest && <Notice tone="bad">{rest}</Notice>}
        <div className="flex justify-end gap-2">
          <button type="button" className="btn" onClick={onClose}>
            Not now
          </button>
          <button type="button" className="btn btn-primary" disabled={action.isPending} onClick={send}>
            {action.isPending ? "Restarting …" : "Restart"}
          </button>
        </div>
      </div>
    </Dialog>
  );
}
