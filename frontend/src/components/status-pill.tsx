// A status as a sign and a word, never as a colour alone.
import { Ban, Check, Clock, Pause, X } from "lucide-react";
import { type Tone, toneOf } from "@/lib/status";
import type { StepStatus } from "@/types/api";

const SIGNS = { wait: Pause, ok: Check, bad: X, idle: Clock } as const;

function Sign({ tone, status }: { tone: Tone; status: StepStatus }) {
  if (tone === "run") return <span className="pill-dot" aria-hidden="true" />;
  const Icon = status === "aborted" ? Ban : SIGNS[tone];
  const drawn = tone === "wait" ? { fill: "currentColor", strokeWidth: 1 } : { strokeWidth: 3 };
  return <Icon size={12} {...drawn} aria-hidden="true" />;
}

/** The pill of a run or a step; `children` is the word. */
export function StatusPill({ status, children }: { status: StepStatus; children: string }) {
  const tone = toneOf(status);
  return (
    <span className="pill" data-tone={tone}>
      <Sign tone={tone} status={status} />
      {children}
    </span>
  );
}
