// What an agent wrote and did: live while its step runs, the stored transcript of an attempt afterwards.
import { useQuery } from "@tanstack/react-query";
import { AboutLimits } from "@/components/limits";
import { Empty, Loading, Notice } from "@/components/notice";
import { liveOptions } from "@/features/runs/api";
import { type LiveStep, liveSummary, NOTHING_YET } from "@/features/runs/live";
import { isFinal } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Step, TranscriptMessage } from "@/types/api";
import { LogBox } from "./log-box";
import { LogPiece } from "./log-parts";
import { RetryNotice } from "./retry-notice";
import type { StepView } from "./step-panel";

function LiveLog({ live, view, running }: { live: LiveStep; view: StepView; running: boolean }) {
  const summary = liveSummary(live);
  return (
    <>
      <p className="sr-only" role="status">
        {running && summary}
      </p>
      {(live.state === "retry" || live.state === "interrupted") && (
        <div className="p-3 pb-0">
          <Notice tone="wait">{showHidden(summary)}</Notice>
        </div>
      )}
      <LogBox label={`Output of ${view.step.agent_name}`} live={running} version={live}>
        {live.parts.length === 0 && <p className="text-ink-3">{summary} …</p>}
        {live.parts.map((part) => (
          <LogPiece key={part.part_id} part={part} directory={view.run.working_dir} />
        ))}
      </LogBox>
    </>
  );
}

function MessageHead({ message }: { message: TranscriptMessage }) {
  if (message.summary) return <small>The context was full; a summary took its place.</small>;
  if (message.child) return <small>Sub-agent {message.agent}</small>;
  return null;
}

function Message({ message, directory }: { message: TranscriptMessage; directory: string }) {
  return (
    <>
      <MessageHead message={message} />
      {message.parts.map((part, index) => (
        <LogPiece
          // biome-ignore lint/suspicious/noArrayIndexKey: a stored message never changes.
          key={index}
          part={{ kind: part.type, text: part.text, tool: part.tool }}
          directory={directory}
        />
      ))}
      {message.error && <Notice tone="bad">{showHidden(`${message.error.name}: ${message.error.message}`)}</Notice>}
    </>
  );
}

function StoredLog({ transcript, view }: { transcript: TranscriptMessage[]; view: StepView }) {
  const answers = transcript.filter((message) => message.role === "assistant");
  return (
    <LogBox label={`Output of ${view.step.agent_name}`} live={false} version={0}>
      {answers.length === 0 && <p className="text-ink-3">The agent wrote nothing.</p>}
      {answers.map((message) => (
        <Message key={message.id} message={message} directory={view.run.working_dir} />
      ))}
    </LogBox>
  );
}

/** Why a step has no output. */
function silence(step: Step): string {
  if (step.status === "skipped") return "Skipped, because an earlier step did not succeed.";
  if (step.status === "aborted") return "Aborted before it wrote anything.";
  if (step.status === "pending") return "This step has not started yet.";
  return "This attempt left no transcript.";
}

function Failure({ view: { step, attempt, isNewest, now } }: { view: StepView }) {
  if (isNewest && step.retry_at !== null) {
    return (
      <div className="px-[18px] pt-3.5">
        <RetryNotice step={step} now={now} />
      </div>
    );
  }
  const message = isNewest ? (step.error_message ?? attempt?.error_message) : attempt?.error_message;
  const note = isNewest ? (step.note ?? attempt?.note) : attempt?.note;
  if (!message && !note) return null;
  return (
    <div className="grid gap-2 px-[18px] pt-3.5">
      {message && <Notice tone="bad">{showHidden(message)}</Notice>}
      {note && (
        <Notice tone="wait">
          {showHidden(note)} <AboutLimits />
        </Notice>
      )}
    </div>
  );
}

function Log({ view }: { view: StepView }) {
  const { step, attempt, isNewest } = view;
  const { data: live } = useQuery(liveOptions(step.id));
  const open = isNewest && !isFinal(step.status);
  if (open && step.status !== "pending") return <LiveLog live={live ?? NOTHING_YET} view={view} running />;
  if (attempt?.transcript) return <StoredLog transcript={attempt.transcript} view={view} />;
  if (isNewest && live && live.parts.length > 0) return <LiveLog live={live} view={view} running={false} />;
  if (step.attempts > 0 && !view.attempts) return <Loading what="the transcript" />;
  return <Empty title={silence(step)} />;
}

export function OutputTab({ view }: { view: StepView }) {
  return (
    <>
      <Failure view={view} />
      <Log view={view} />
    </>
  );
}
