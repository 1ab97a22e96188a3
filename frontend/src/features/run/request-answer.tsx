// The answer to an agent's request: allow it, once or for the rest of the run, reject it, or answer its questions.
import { useId, useState } from "react";
import { AboutLimits } from "@/components/limits";
import { Notice } from "@/components/notice";
import { sentenceOf } from "@/lib/api";
import type { AgentRequest, AnswerBody } from "@/types/api";
import { answersOf, type Draft } from "./answers";
import { useDecision } from "./decide";
import { QuestionFields } from "./question-fields";

type Decide = (body: Partial<AnswerBody> & Pick<AnswerBody, "reply">) => void;

interface AnswerProps {
  request: AgentRequest;
  busy: boolean;
  decide: Decide;
}

function RejectButton({ busy, decide, message }: Omit<AnswerProps, "request"> & { message: string }) {
  const reject = () => decide({ reply: "reject", ...(message.trim() && { message: message.trim() }) });
  return (
    <button type="button" className="btn btn-bad" disabled={busy} onClick={reject}>
      Reject
    </button>
  );
}

function MessageField({ message, onChange }: { message: string; onChange: (message: string) => void }) {
  const id = useId();
  return (
    <div>
      <label className="label" htmlFor={id}>
        Message <span className="font-normal text-ink-3">goes to the agent with a rejection</span>
      </label>
      <textarea id={id} className="field" rows={1} value={message} onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}

function PermissionAnswer({ busy, decide }: AnswerProps) {
  const [message, setMessage] = useState("");
  return (
    <>
      <MessageField message={message} onChange={setMessage} />
      <div className="flex flex-wrap items-center gap-2.5">
        <button type="button" className="btn btn-primary" disabled={busy} onClick={() => decide({ reply: "once" })}>
          Allow once
        </button>
        <button
          type="button"
          className="btn btn-long"
          disabled={busy}
          onClick={() => decide({ reply: "once", remember: true })}
        >
          Allow exactly this for the rest of the run
        </button>
        <RejectButton busy={busy} decide={decide} message={message} />
      </div>
      <small>
        Permissions are no sandbox: what you allow can do anything that you can do on this machine. <AboutLimits />
      </small>
    </>
  );
}

function QuestionAnswer({ request, busy, decide }: AnswerProps) {
  const [drafts, setDrafts] = useState<Record<number, Draft>>({});
  const [message, setMessage] = useState("");
  const [tried, setTried] = useState(false);
  const { questions } = request.details;
  const answers = answersOf(questions, drafts);
  const submit = () => {
    setTried(true);
    if (answers) decide({ reply: "once", answers });
  };
  return (
    <>
      <QuestionFields questions={questions} drafts={drafts} onChange={setDrafts} />
      {tried && !answers && <Notice tone="bad">Answer each question first.</Notice>}
      <MessageField message={message} onChange={setMessage} />
      <div className="flex flex-wrap items-center gap-2.5">
        <button type="button" className="btn btn-primary" disabled={busy} onClick={submit}>
          Answer
        </button>
        <RejectButton busy={busy} decide={decide} message={message} />
      </div>
      <small>The agent goes on with your answer. Rejecting a question ends the step.</small>
    </>
  );
}

export function RequestAnswer({ request }: { request: AgentRequest }) {
  const action = useDecision(request.pipeline_id);
  const decide: Decide = (body) =>
    action.mutate({ action: "answer", request: request.id, body: { remember: false, ...body } });
  const Answer = request.kind === "question" ? QuestionAnswer : PermissionAnswer;
  return (
    <>
      <Answer request={request} busy={action.isPending} decide={decide} />
      {action.isError && <Notice tone="bad">{sentenceOf(action.error)}</Notice>}
    </>
  );
}
