// The steps of a run, each with its state, its model and why it is that one; a link selects a step.
import { Link } from "@tanstack/react-router";
import { ModelChip } from "@/components/model-chip";
import { Pip } from "@/components/pips";
import { clock, dollars, duration, elapsed } from "@/lib/format";
import { modelWhy } from "@/lib/model-why";
import { isFinal, stepWord } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Run, Step } from "@/types/api";
import { triedLine, untilRetry } from "./retry";
import { approvalOf, decisionWord, waitingSince } from "./selection";

/** Time and known cost, such as `1:38 · $0.09`; an open step's time ends in dots, and a waiting step's says so. */
function figures(run: Run, step: Step, now: number): string {
  const asked = waitingSince(run, step);
  if (asked !== null) return `waiting ${duration(now - Date.parse(asked))} …`;
  if (step.retry_at !== null) return `next try ${untilRetry(step.retry_at, now)}`;
  const time = elapsed(step.started_at, step.finished_at, now);
  const dots = isFinal(step.status) ? "" : " …";
  return [time === undefined ? null : duration(time) + dots, step.cost === null ? null : dollars(step.cost)]
    .filter(Boolean)
    .join(" · ");
}

/** What to say about a gate: since when it waits, or who decided what. */
function gateNote(run: Run, gate: Step, now: number): string {
  const approval = approvalOf(run, gate);
  if (gate.status === "waiting_for_approval") return `waiting for you since ${clock(gate.started_at ?? now, now)}`;
  if (!approval?.decided_at || approval.status === "pending") return stepWord(gate.status).toLowerCase();
  const comment = approval.comment ? `: “${approval.comment}”` : "";
  return `${decisionWord(approval)} by ${approval.decided_by ?? "somebody"}${comment}`;
}

function Note({ run, step, now }: { run: Run; step: Step; now: number }) {
  if (step.type === "approval") return <small className="step-note">{showHidden(gateNote(run, step, now))}</small>;
  return (
    <>
      <ModelChip model={modelWhy(step)} />
      {step.status === "waiting_for_input" && <small className="step-note">asks you, and waits for the answer</small>}
      {step.status === "running" && step.note && <small className="step-note">{showHidden(step.note)}</small>}
      {step.retry_at !== null && <small className="step-note">{triedLine(step)}</small>}
      {step.retry_at === null && step.attempts > 1 && <small className="step-note">{step.attempts} attempts</small>}
      {(step.status === "failed" || step.status === "skipped" || step.status === "aborted") && (
        <small className="step-note">
          {step.error_code?.replaceAll("_", " ") ?? stepWord(step.status).toLowerCase()}
        </small>
      )}
    </>
  );
}

export function StepList({ run, selected, now }: { run: Run; selected: Step | undefined; now: number }) {
  return (
    <ol className="panel steps" aria-label="Steps">
      {run.steps.map((step) => (
        <li key={step.id}>
          <Link
            from="/runs/$runId"
            to="/runs/$runId"
            params={{ runId: String(run.id) }}
            search={(old) => ({ ...(old.tab && { tab: old.tab }), step: step.order_index + 1 })}
            resetScroll={false}
            className="step"
            activeOptions={{ exact: true }}
            activeProps={{ "aria-current": undefined }}
            aria-current={step.id === selected?.id ? "step" : undefined}
          >
            <Pip type={step.type} status={step.status} />
            <span className="step-name">
              {step.order_index + 1} {step.agent_name ?? "approval"}
              <span className="sr-only">, {stepWord(step.status).toLowerCase()}</span>
            </span>
            <span className="step-time">{figures(run, step, now)}</span>
            <Note run={run} step={step} now={now} />
          </Link>
        </li>
      ))}
    </ol>
  );
}
