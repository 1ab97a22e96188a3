// Answers of the API as tests need them: complete, typed, and changed by what a test gives.
import type {
  Agent,
  AgentRequest,
  Approval,
  Attempt,
  AuditEvent,
  Diff,
  Handoff,
  Health,
  Model,
  OpencodeHealth,
  Run,
  RunSummary,
  Step,
  Template,
  Tokens,
  ToolCall,
} from "@/types/api";

export const NOW = Date.parse("2026-11-22T10:44:40Z");

/** A moment, `seconds` after 10:41 UTC. */
export function at(seconds: number): string {
  return new Date(Date.parse("2026-11-22T10:41:00Z") + seconds * 1000).toISOString();
}

export const NO_TOKENS: Tokens = { input: 0, output: 0, reasoning: 0, cache_read: 0, cache_write: 0 };

export function aStep(change: Partial<Step> = {}): Step {
  return {
    id: 11,
    type: "agent",
    agent_name: "developer",
    description: "Implement the fix",
    order_index: 0,
    status: "pending",
    model: null,
    resolved_model: null,
    model_origin: null,
    used_model: null,
    started_at: null,
    finished_at: null,
    error_code: null,
    error_message: null,
    tokens: NO_TOKENS,
    cost: null,
    attempts: 0,
    note: null,
    attempts_made: 0,
    attempts_allowed: 1,
    retry_at: null,
    latest_handoff: null,
    ...change,
  };
}

export function aHandoff(change: Partial<Handoff["sections"]> = {}): Handoff {
  return {
    text: "## What was done\n…",
    structured: true,
    sections: {
      what_was_done: "Replaced the fixed two-second sleep in the login test by a poll on the session cookie.",
      decisions_made: "- Poll every 50 ms, five seconds at most\n- No new dependency",
      open_questions: "- Should the helper move to `tests/conftest.py`?",
      next_agent_context: "Review the deadline in `wait_for_session()`.",
      ...change,
    },
    created_at: at(98),
    edited_by: null,
    original: null,
  };
}

export function aRun(change: Partial<Run> = {}): Run {
  return {
    id: 42,
    title: "Fix flaky login test",
    prompt: "tests/login fails about one time in ten.",
    template: "quick_fix",
    status: "running",
    error_code: null,
    error_message: null,
    working_dir: "/src/webshop",
    branch: "main",
    base_commit: "4f1c2d9e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e",
    attempt: 1,
    queue_position: null,
    waiting_for: null,
    waiting_reason: null,
    created_at: at(0),
    started_at: at(0.4),
    finished_at: null,
    created_by: "owner",
    tokens: { input: 41_200, output: 5_100, reasoning: 1_000, cache_read: 7_000, cache_write: 0 },
    cost: 0.12,
    warnings: [],
    max_cost_usd: null,
    requests: [],
    approval: null,
    approvals: [],
    steps: [aStep()],
    ...change,
  };
}

export function aSummary(change: Partial<RunSummary> = {}): RunSummary {
  const { prompt, base_commit, warnings, max_cost_usd, approval, approvals, waiting_reason, requests, steps, ...head } =
    aRun();
  return { ...head, steps, ...change };
}

export function aTool(change: Partial<ToolCall> = {}): ToolCall {
  return {
    call_id: "call-1",
    tool: "bash",
    status: "completed",
    title: null,
    input: { command: "pytest -q tests/login" },
    output: "1 passed",
    error: null,
    started_at: at(100),
    finished_at: at(106.2),
    ...change,
  };
}

export function anAttempt(change: Partial<Attempt> = {}): Attempt {
  return {
    number: 1,
    pipeline_attempt: 1,
    outcome: "done",
    error_message: null,
    note: null,
    prompt: "tests/login fails about one time in ten.",
    session_id: "ses_1",
    used_model: "anthropic/claude-opus-4-5",
    tokens: NO_TOKENS,
    cost: null,
    model_calls: 3,
    started_at: at(1),
    finished_at: at(98),
    transcript: [],
    ...change,
  };
}

export function anApproval(change: Partial<Approval> = {}): Approval {
  return {
    id: 7,
    pipeline_id: 42,
    step_id: 12,
    status: "pending",
    question: "Is the fix good enough for review?",
    comment: null,
    decided_by: null,
    requested_at: at(98),
    decided_at: null,
    remind_at: at(3600),
    reminded_at: null,
    decision: null,
    return_to: null,
    ...change,
  };
}

export function anEvent(change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    id: 1,
    at: at(0),
    type: "pipeline.created",
    actor: "ada",
    pipeline_id: 42,
    step_id: null,
    payload: {},
    ...change,
  };
}

/** A permission to run a command; for a question give `kind`, `tool` and `details`. */
export function aRequest(change: Partial<AgentRequest> = {}): AgentRequest {
  return {
    id: 5,
    pipeline_id: 42,
    step_id: 11,
    attempt: 1,
    kind: "permission",
    tool: "bash",
    patterns: ["git push origin main"],
    details: { command: "git push origin main", file_path: null, diff: null, call_id: "call-1", questions: [] },
    sub_agent: false,
    status: "pending",
    reply: null,
    message: null,
    answers: null,
    remember: false,
    answered_by: null,
    asked_at: at(150),
    answered_at: null,
    deadline: at(1950),
    ...change,
  };
}

export function aModel(change: Partial<Model> = {}): Model {
  return {
    ref: "anthropic/claude-opus-4-5",
    provider: "anthropic",
    id: "claude-opus-4-5",
    name: "Claude Opus 4.5",
    context: 200_000,
    price_input: 5,
    price_output: 25,
    connected: true,
    reason: null,
    kind: "own_key",
    ...change,
  };
}

export const DIFF_TEXT = `diff --git a/tests/login/test_session.py b/tests/login/test_session.py
index 1111111..2222222 100644
--- a/tests/login/test_session.py
+++ b/tests/login/test_session.py
@@ -1,3 +1,3 @@ def test_login(client):
     client.post("/login")
-    time.sleep(2)
+    session = wait_for_session(client, timeout=5)
     assert client.get("/me").status_code == 200
`;

export function aDiff(change: Partial<Diff> = {}): Diff {
  return {
    available: true,
    reason: null,
    base: "4f1c2d9e8b7a",
    digest: null,
    text: DIFF_TEXT,
    files: 1,
    additions: 1,
    deletions: 1,
    truncated: false,
    ...change,
  };
}

export const AGENTS: Agent[] = [
  { name: "developer", description: "Writes code", opencode_agent: "build", default_model: null },
  { name: "senior_reviewer", description: "Reviews", opencode_agent: "plan", default_model: "openai/gpt-5.2" },
];

function agentStep(agent: string, description: string, model: string | null): Template["steps"][number] {
  return { type: "agent", agent, description, model, permissions: [], limits: null, retry: null };
}

export const TEMPLATES: Template[] = [
  {
    name: "quick_fix",
    description: "developer, approval, reviewer",
    steps: [
      agentStep("developer", "Implement the fix", "anthropic/claude-opus-4-5"),
      { type: "approval", description: "Is the fix good enough?", remind_after_hours: null },
      agentStep("senior_reviewer", "Review the fix", null),
    ],
  },
  {
    name: "issue_only",
    description: "a well-formed issue, no code",
    steps: [agentStep("developer", "Write the issue", null)],
  },
];

export const SERVER_HEALTH: Health = {
  status: "ok",
  version: "0.1.0",
  opencode: "ready",
  database: "ok",
  reason: null,
  registry: "ok",
  queued: 0,
  active: 0,
  paused: false,
};

export const HEALTH: OpencodeHealth = {
  state: "ready",
  version: "1.18.33",
  generation: "v1",
  url: "http://127.0.0.1:4096",
  managed: true,
  pid: 1,
  providers: ["anthropic", "openai"],
  detail: null,
};
