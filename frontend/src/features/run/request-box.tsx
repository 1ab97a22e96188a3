// A request of an agent: what it wants to do or to know, in full, and the answer.
import { DiffView } from "@/components/diff-view";
import { clock, duration } from "@/lib/format";
import { showHidden } from "@/lib/visible";
import type { AgentRequest, Run } from "@/types/api";
import { RequestAnswer } from "./request-answer";

interface RequestBoxProps {
  run: Run;
  request: AgentRequest;
  now: number;
}

function stepName(run: Run, request: AgentRequest): string {
  const step = run.steps.find((item) => item.id === request.step_id);
  return step ? `${step.order_index + 1} ${step.agent_name ?? "approval"}` : "a step";
}

/** The request in a few words. */
export function askedFor({ kind, tool, details }: AgentRequest): string {
  if (kind === "question") return details.questions.length === 1 ? "A question for you" : "Questions for you";
  if (tool === "bash") return "May this command run?";
  if (tool === "edit") return "May this file be changed?";
  return `May the tool ${tool} be used?`;
}

/** What the tool is used on, without what the box shows as command or file already. */
export function otherPatterns({ patterns, details }: AgentRequest): string[] {
  return patterns.filter((pattern) => pattern !== details.command && pattern !== details.file_path);
}

function Head({ run, request, now }: RequestBoxProps) {
  const left = Date.parse(request.deadline) - now;
  return (
    <header>
      <div className="flex flex-wrap items-baseline justify-between gap-2.5">
        <h2 className="text-[15px]">{showHidden(askedFor(request))}</h2>
        <small className="text-ink-2">
          denied at {clock(request.deadline, now)} unless answered ({duration(left)} left)
        </small>
      </div>
      <div className="meta">
        <span>
          tool <b className="mono">{showHidden(request.tool)}</b>
        </span>
        <span>
          step <b>{stepName(run, request)}</b>
          {request.sub_agent && ", asked by a sub-agent"}
        </span>
        <span>
          in <b className="mono">{showHidden(run.working_dir)}</b>
        </span>
        <span>
          waiting since <b>{clock(request.asked_at, now)}</b>
        </span>
      </div>
    </header>
  );
}

function Code({ text }: { text: string }) {
  return <pre className="text-block rounded-field bg-code p-3">{showHidden(text)}</pre>;
}

function Wanted({ request }: { request: AgentRequest }) {
  const { command, file_path, diff } = request.details;
  const patterns = otherPatterns(request);
  return (
    <>
      {command !== null && <Code text={command} />}
      {file_path !== null && <Code text={file_path} />}
      {diff !== null && <DiffView text={diff} />}
      {patterns.length > 0 && (
        <div>
          <p className="label">Used on</p>
          <Code text={patterns.join("\n")} />
        </div>
      )}
    </>
  );
}

/** One open request; the page shows it whichever step is chosen. */
export function RequestBox({ run, request, now }: RequestBoxProps) {
  return (
    <section className="panel gate min-w-0" aria-label={`Request ${request.id}: ${request.tool}`}>
      <Head run={run} request={request} now={now} />
      <div className="gate-body border-t border-line">
        {request.kind === "permission" && <Wanted request={request} />}
        <RequestAnswer request={request} />
      </div>
    </section>
  );
}
