// A run as a line of pips: a dot for each agent, a diamond for each gate.
import { Fragment } from "react";
import { stepWord } from "@/lib/status";
import type { StepStatus } from "@/types/api";

export interface PipStep {
  type: "agent" | "approval";
  agent_name: string | null;
  status: StepStatus;
}

/** One pip; it means nothing to a screen reader, the line around it speaks. */
export function Pip({ type, status }: Pick<PipStep, "type" | "status">) {
  return <span className="pip" data-status={status} data-gate={type === "approval" || undefined} aria-hidden="true" />;
}

/** The line in words, such as `1 developer done, 2 approval waiting for you`. */
export function pipsLabel(steps: PipStep[], withStatus: boolean): string {
  return steps
    .map((step, index) => {
      const name = `${index + 1} ${step.agent_name ?? "approval"}`;
      return withStatus ? `${name} ${stepWord(step.status).toLowerCase()}` : name;
    })
    .join(", ");
}

/** The whole line. `withStatus` is false for a template, whose steps have none. */
export function Pips({ steps, withStatus = true }: { steps: PipStep[]; withStatus?: boolean }) {
  return (
    <span className="pips" role="img" aria-label={`Steps: ${pipsLabel(steps, withStatus)}`}>
      {steps.map((step, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: steps never change their order.
        <Fragment key={index}>
          {index > 0 && <span className="pip-link" data-passed={steps[index - 1]?.status === "done" || undefined} />}
          <Pip {...step} />
        </Fragment>
      ))}
    </span>
  );
}
