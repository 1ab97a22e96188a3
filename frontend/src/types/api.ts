// Our names for the generated types of the API; the only file that reads schema.gen.ts.
import type { components, operations, paths } from "./schema.gen";

type Schemas = components["schemas"];
type Answer<Name extends keyof operations> = operations[Name] extends {
  responses: { 200: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

export type Paths = paths;

export type Run = Schemas["PipelineResponse"];
export type RunSummary = Schemas["PipelineSummary"];
export type RunPage = Schemas["PipelinePage"];
export type RunStatus = Run["status"];
export type RunCreate = Schemas["PipelineCreateRequest"];

export type Step = Schemas["StepStatusResponse"];
export type StepStatus = Step["status"];
export type StepPip = Schemas["StepPip"];
export type ModelOrigin = NonNullable<Step["model_origin"]>;

export type Handoff = NonNullable<Step["latest_handoff"]>;
export type Approval = Schemas["ApprovalResponse"];
export type AuditEvent = Schemas["AuditEventResponse"];
export type AuditType = AuditEvent["type"];
export type AgentRequest = Schemas["AgentRequestResponse"];
export type Question = AgentRequest["details"]["questions"][number];

export type ApproveBody = Schemas["ApproveRequest"];
export type RejectBody = Schemas["GateRequest"];
export type ChangesBody = Schemas["ChangesRequest"];
export type RestartBody = Schemas["RestartRequest"];
export type AnswerBody = Schemas["AnswerRequest"];

// Fields with a default are optional in the schema of these shared shapes, but an answer always holds them.
export type ToolCall = Required<Schemas["ToolCall"]>;
export type TranscriptPart = Required<Omit<Schemas["TranscriptPart"], "tool">> & { tool: ToolCall | null };
export type TranscriptMessage = Required<Omit<Schemas["TranscriptMessage"], "parts">> & { parts: TranscriptPart[] };
export type LivePart = Required<Omit<Schemas["LivePart"], "tool">> & { tool: ToolCall | null };
export type Attempt = Omit<Schemas["AttemptResponse"], "transcript"> & { transcript: TranscriptMessage[] | null };
export type Tokens = Run["tokens"];
export type Diff = Schemas["DiffResponse"];

export type Model = Schemas["ModelResponse"];
export type ModelList = Schemas["ModelList"];
export type Agent = Answer<"list_agents">["items"][number];
export type Template = Answer<"list_templates">["items"][number];
export type TemplateStep = Template["steps"][number];

export type RegistryProblem = Schemas["RegistryProblem"];

export type Health = Schemas["HealthResponse"];
export type Queue = Schemas["QueueResponse"];
export type OpencodeHealth = Schemas["OpencodeHealthResponse"];

// The document that every refusal is (application/problem+json).
export type Problem = Schemas["Problem"];
export type ProblemError = Problem["errors"][number];

export type AuditFrame = Schemas["AuditFrame"];
export type DeltaFrame = Schemas["DeltaFrame"];
export type ToolFrame = Omit<Schemas["ToolFrame"], "tool"> & { tool: ToolCall };
export type StateFrame = Schemas["StateFrame"];
export type SnapshotFrame = Omit<Schemas["SnapshotFrame"], "parts"> & { parts: LivePart[] };
export type ResetFrame = Schemas["ResetFrame"];
