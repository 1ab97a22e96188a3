// The decision at a gate: a comment, the models of the steps to come, and approve, request changes or reject.
import { type KeyboardEvent, lazy, Suspense, useId, useRef, useState } from "react";
import { ModelChip } from "@/components/model-chip";
import { Loading, Notice } from "@/components/notice";
import { fieldErrors } from "@/features/new-run/field-errors";
import { modelWhy } from "@/lib/model-why";
import type { Run, Step } from "@/types/api";
import { useDiff } from "./changes";
import { useDecision } from "./decide";
import { approval, type GateForm, returnStep } from "./decision-body";
import { GateButtons } from "./gate-buttons";
import { agentsAfter, agentsBefore, handoffBefore } from "./selection";

const ModelChoices = lazy(async () => ({ default: (await import("./model-choices")).ModelChoices }));

interface GateDecisionProps {
  run: Run;
  gate: Step;
  form: GateForm;
  onChange: (change: Partial<GateForm>) => void;
}

/** Who goes on, on which model, and the way to choose another one. */
function NextSteps({ run, gate, form, onChange, error }: GateDecisionProps & { error: unknown }) {
  const [open, setOpen] = useState(false);
  const steps = agentsAfter(run, gate);
  const [next] = steps;
  if (!next) return <small>Then the run is done.</small>;
  if (open) {
    return (
      <Suspense fallback={<Loading what="the models" />}>
        <ModelChoices
          run={run}
          steps={steps}
          chosen={form.models}
          error={error}
          onChoose={(models) => onChange({ models })}
        />
      </Suspense>
    );
  }
  return (
    <div className="flex flex-wrap items-center gap-2.5">
      <small>Then {next.agent_name} on</small>
      <ModelChip model={modelWhy(next)} />
      <button type="button" className="btn-link" onClick={() => setOpen(true)}>
        change model
      </button>
    </div>
  );
}

/** What the buttons do. Changes without a comment are not sent: nobody would know what to change. */
function useGate({ run, gate, form }: Pick<GateDecisionProps, "run" | "gate" | "form">) {
  const [wanted, setWanted] = useState<number | null>(null);
  const [missing, setMissing] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const action = useDecision(run.id);
  const comment = form.comment.trim();
  const back = returnStep(run, gate, wanted);
  const seen = useDiff(run).data?.digest;
  // Another gate may have opened since this one was drawn: the server refuses then.
  const about = { approval_id: run.approval?.id ?? null };
  const approve = () => {
    const body = approval(form, handoffBefore(run, gate)?.text, seen);
    if (!action.isPending) action.mutate({ action: "approve", body: { ...about, ...body } });
  };
  const reject = () => action.mutate({ action: "reject", body: { ...about, ...(comment && { comment }) } });
  const requestChanges = () => {
    setMissing(comment === "");
    if (comment === "") field.current?.focus();
    else if (back) action.mutate({ action: "request-changes", body: { ...about, comment, step: back.order_index } });
  };
  return { action, field, back, setWanted, missing: missing && comment === "", approve, reject, requestChanges };
}

interface CommentProps {
  form: GateForm;
  gate: ReturnType<typeof useGate>;
  onChange: GateDecisionProps["onChange"];
}

function Comment({ form, gate, onChange }: CommentProps) {
  const id = useId();
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) gate.approve();
  };
  return (
    <div>
      <label className="label" htmlFor={id}>
        Comment <span className="font-normal text-ink-3">goes into the next prompt</span>
      </label>
      <textarea
        ref={gate.field}
        id={id}
        className="field"
        rows={2}
        value={form.comment}
        aria-invalid={gate.missing}
        aria-describedby={`${id}e`}
        onChange={(event) => onChange({ comment: event.target.value })}
        onKeyDown={onKey}
      />
      <p id={`${id}e`} className="field-error empty:hidden" role="alert">
        {gate.missing && "Say what shall change."}
      </p>
    </div>
  );
}

export function GateDecision(props: GateDecisionProps) {
  const { run, gate: step, form, onChange } = props;
  const gate = useGate(props);
  const { error, isPending } = gate.action;
  const { rest, fields } = fieldErrors(error);
  const atFields = Object.values(fields).flatMap((item) => item?.message ?? []);
  return (
    <>
      <Comment form={form} gate={gate} onChange={onChange} />
      {error && <Notice tone="bad">{rest ?? atFields.join(" ")}</Notice>}
      <GateButtons
        busy={isPending}
        before={agentsBefore(run, step)}
        back={gate.back}
        onBack={gate.setWanted}
        onApprove={gate.approve}
        onChanges={gate.requestChanges}
        onReject={gate.reject}
      />
      <NextSteps {...props} error={error} />
    </>
  );
}
