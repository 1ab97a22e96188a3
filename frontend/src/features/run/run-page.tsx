// The page of one run: head, timeline, steps on the left, the chosen step on the right.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Empty, Loading, Notice } from "@/components/notice";
import { connectionOptions } from "@/features/health/api";
import { PausedBanner } from "@/features/queue/paused-banner";
import { runOptions } from "@/features/runs/api";
import { ApiProblem, sentenceOf } from "@/lib/api";
import { useNow } from "@/lib/now";
import { isFinal } from "@/lib/status";
import { useTitle } from "@/lib/title";
import { showHidden } from "@/lib/visible";
import type { Run } from "@/types/api";
import { Decisions } from "./decisions";
import { GatePanel } from "./gate-panel";
import { RequestBox } from "./request-box";
import { RunHeader } from "./run-header";
import { chosenStep } from "./selection";
import { StepList } from "./step-list";
import { StepPanel } from "./step-panel";
import { Timeline } from "./timeline";

const route = getRouteApi("/runs/$runId");

/** Sentences about the whole run: why it waits, what it was warned of at the start, why it failed. */
function RunNotices({ run }: { run: Run }) {
  const failed = run.status === "failed" && run.error_message;
  // The banner says so already when the queue is paused.
  const waits = run.waiting_reason && run.waiting_for !== "paused" ? [run.waiting_reason] : [];
  const sentences = [...waits, ...run.warnings];
  if (!failed && sentences.length === 0) return null;
  return (
    <div className="mt-3 grid gap-2">
      {failed && <Notice tone="bad">{showHidden(run.error_message ?? "")}</Notice>}
      {sentences.map((sentence) => (
        <Notice key={sentence} tone="wait">
          {showHidden(sentence)}
        </Notice>
      ))}
    </div>
  );
}

function RunView({ run }: { run: Run }) {
  useTitle(showHidden(run.title));
  const now = useNow(isFinal(run.status) ? null : 1_000);
  const { step: wanted } = route.useSearch();
  const step = chosenStep(run, wanted);
  const timeline = run.started_at !== null && <Timeline run={run} now={now} />;
  // A person who is asked sees the question first.
  const requests = run.requests.filter((request) => request.status === "pending");
  const asked = step?.status === "waiting_for_approval" || requests.length > 0;
  return (
    <>
      {!isFinal(run.status) && <PausedBanner />}
      <RunHeader run={run} now={now} />
      <RunNotices run={run} />
      {!asked && timeline}
      <div className="two">
        <StepList run={run} selected={step} now={now} />
        <div className="grid min-w-0 grid-cols-[minmax(0,1fr)] gap-4">
          {requests.map((request) => (
            <RequestBox key={request.id} run={run} request={request} now={now} />
          ))}
          {step?.type === "agent" && <StepPanel key={step.id} run={run} step={step} now={now} />}
          {step?.type === "approval" && <GatePanel key={step.id} run={run} gate={step} now={now} />}
        </div>
      </div>
      {asked && timeline}
      <Decisions run={run} now={now} />
    </>
  );
}

export function RunPage() {
  const { runId } = route.useParams();
  const connection = useQuery(connectionOptions);
  const run = useQuery(runOptions(Number(runId), connection.data === "lost"));
  if (run.data) return <RunView run={run.data} />;
  if (run.isPending) return <Loading what={`run ${runId}`} />;
  const missing = run.error instanceof ApiProblem && (run.error.status === 404 || run.error.status === 422);
  return (
    <>
      <h1>Run {runId}</h1>
      <Empty title={missing ? "There is no such run." : sentenceOf(run.error)} />
    </>
  );
}
