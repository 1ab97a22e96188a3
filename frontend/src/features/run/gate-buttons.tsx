// The three answers to a gate: go on, go back to an agent with a wish, or end the run.
import { useId } from "react";
import { Key } from "@/components/key";
import type { Step } from "@/types/api";

interface GateButtonsProps {
  busy: boolean;
  /** The agent steps before the gate; changes go to `back`. */
  before: Step[];
  back: Step | undefined;
  onBack: (index: number) => void;
  onApprove: () => void;
  onChanges: () => void;
  onReject: () => void;
}

/** Which step does the changes; only where there is a choice. */
function BackTo({ before, back, onBack }: Pick<GateButtonsProps, "before" | "back" | "onBack">) {
  const id = useId();
  if (before.length < 2) return null;
  return (
    <div className="flex flex-wrap items-center gap-2.5">
      <label htmlFor={id}>
        <small>Changes go back to</small>
      </label>
      <select
        id={id}
        className="select max-w-full"
        value={back?.order_index}
        onChange={(event) => onBack(Number(event.target.value))}
      >
        {before.map((step) => (
          <option key={step.id} value={step.order_index}>
            {step.order_index + 1} {step.agent_name}
          </option>
        ))}
      </select>
      <small>and the steps after it run again</small>
    </div>
  );
}

export function GateButtons({ busy, before, back, onBack, onApprove, onChanges, onReject }: GateButtonsProps) {
  return (
    <>
      <div className="flex flex-wrap items-center gap-2.5">
        <button type="button" className="btn btn-primary" disabled={busy} onClick={onApprove}>
          Approve <Key>Ctrl ↵</Key>
        </button>
        {back && (
          <button type="button" className="btn btn-long" disabled={busy} onClick={onChanges}>
            Request changes → {back.agent_name}
          </button>
        )}
        <button type="button" className="btn btn-bad" disabled={busy} onClick={onReject}>
          Reject
        </button>
      </div>
      <BackTo before={before} back={back} onBack={onBack} />
    </>
  );
}
