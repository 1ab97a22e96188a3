// A gate: the question, what the agent before it left, what changed, and the decision.
import { useState } from "react";
import { Markdown } from "@/components/markdown";
import { clock, plural } from "@/lib/format";
import { stepWord } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Approval, Run, Step } from "@/types/api";
import { Changes, DiffCounts, useDiff } from "./changes";
import { EMPTY_GATE, type GateForm } from "./decision-body";
import { GateDecision } from "./gate-decision";
import { HandoffEdit } from "./handoff-edit";
import { KeptHandoff } from "./handoff-view";
import { costWord } from "./run-header";
import { approvalOf, countQuestions, decisionWord, handoffBefore } from "./selection";

interface GatePanelProps {
  run: Run;
  gate: Step;
  now: number;
}

function reminderLine(approval: Approval | null, now: number): string | null {
  if (approval?.status !== "pending") return null;
  if (approval.reminded_at) return `reminded at ${clock(approval.reminded_at, now)}`;
  return approval.remind_at && `reminder at ${clock(approval.remind_at, now)}`;
}

/** What a person weighs before deciding: how much changed, what it cost, what is open. */
function Weights({ run, gate }: { run: Run; gate: Step }) {
  const diff = useDiff(run).data;
  const questions = countQuestions(handoffBefore(run, gate));
  return (
    <div className="meta">
      {diff?.available && (
        <span>
          changes{" "}
          <b>
            <DiffCounts diff={diff} />
          </b>
        </span>
      )}
      <span>
        cost so far <b>{costWord(run)}</b>
      </span>
      <span>
        <b>{plural(questions, "open question")}</b>
      </span>
    </div>
  );
}

function GateHead({ run, gate, now }: GatePanelProps) {
  const approval = approvalOf(run, gate);
  const reminder = reminderLine(approval, now);
  const waiting = gate.status === "waiting_for_approval";
  return (
    <header>
      <div className="flex flex-wrap items-baseline justify-between gap-2.5">
        <h2 className="text-[15px]">{showHidden(approval?.question || gate.description || "Go on?")}</h2>
        {reminder && <small className="text-ink-2">{reminder}</small>}
      </div>
      {waiting ? <Weights run={run} gate={gate} /> : <Decided approval={approval} gate={gate} now={now} />}
    </header>
  );
}

/** A gate that is not open: the run has not come here yet, or who decided what. */
function Decided({ approval, gate, now }: { approval: Approval | null; gate: Step; now: number }) {
  if (!approval?.decided_at) {
    return <p className="meta">{gate.status === "pending" ? "The run is not here yet." : stepWord(gate.status)}</p>;
  }
  return (
    <div className="mt-1.5 grid gap-2">
      <p className="text-ink-2">
        <b className="font-semibold text-ink first-letter:uppercase">{decisionWord(approval)}</b> by{" "}
        {approval.decided_by ?? "somebody"} at {clock(approval.decided_at, now)}
      </p>
      {approval.comment && <Markdown text={approval.comment} />}
    </div>
  );
}

function NoHandoff() {
  return (
    <div className="hand">
      <p className="hand-whole bg-panel px-[18px] py-3 text-ink-3">There is no hand-off before this gate.</p>
    </div>
  );
}

/** What a person reads and fills in while the gate is open; closing it forgets the form. */
function OpenGate({ run, gate }: { run: Run; gate: Step }) {
  const [form, setForm] = useState(EMPTY_GATE);
  const change = (part: Partial<GateForm>) => setForm((old) => ({ ...old, ...part }));
  const handoff = handoffBefore(run, gate);
  return (
    <>
      {handoff ? (
        <HandoffEdit handoff={handoff} text={form.handoff} onChange={(text) => change({ handoff: text })} />
      ) : (
        <NoHandoff />
      )}
      <div className="gate-body">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard. */}
        <section className="gate-changes" aria-label="Changes" tabIndex={0}>
          <Changes run={run} />
        </section>
        <GateDecision run={run} gate={gate} form={form} onChange={change} />
      </div>
    </>
  );
}

export function GatePanel({ run, gate, now }: GatePanelProps) {
  const waiting = gate.status === "waiting_for_approval";
  const handoff = handoffBefore(run, gate);
  return (
    <section className="panel gate min-w-0" aria-label="Approval" data-decided={!waiting || undefined}>
      <GateHead run={run} gate={gate} now={now} />
      {waiting && <OpenGate key={run.approval?.id} run={run} gate={gate} />}
      {!waiting && (handoff ? <KeptHandoff handoff={handoff} /> : <NoHandoff />)}
    </section>
  );
}
