// The exact prompt of an attempt.
import { CopyButton } from "@/components/copy-button";
import { Empty, Loading } from "@/components/notice";
import { count } from "@/lib/format";
import { showHidden } from "@/lib/visible";
import type { Attempt, Step } from "@/types/api";

export function PromptTab({ attempt, step }: { attempt: Attempt | undefined; step: Step }) {
  if (!attempt) {
    if (step.attempts > 0) return <Loading what="the prompt" />;
    return <Empty title="The prompt is written when the step starts." />;
  }
  return (
    <div className="tab-panel">
      <div className="flex items-center justify-between gap-2 text-ink-2">
        <span>Exactly as it was sent · {count(attempt.prompt.length)} characters</span>
        <CopyButton text={() => attempt.prompt}>Copy</CopyButton>
      </div>
      <pre className="text-block mt-2 rounded-field bg-code p-3">{showHidden(attempt.prompt)}</pre>
    </div>
  );
}
