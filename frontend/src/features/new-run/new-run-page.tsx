// The page that starts a run: template, task, place, a model for each step.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { CopyButton } from "@/components/copy-button";
import { Key } from "@/components/key";
import { Empty, Loading, Notice } from "@/components/notice";
import { agentsOptions, templatesOptions } from "@/features/registry/api";
import { RegistryProblems } from "@/features/registry/registry-problems";
import { sentenceOf } from "@/lib/api";
import { useTitle } from "@/lib/title";
import type { ProblemError, Template } from "@/types/api";
import { modelsOptions, useCreateRun } from "./api";
import { commandOf } from "./cli";
import { dropDraft, requestOf } from "./draft";
import { fieldErrors } from "./field-errors";
import { FieldError } from "./field-row";
import { StepModels } from "./step-models";
import { TaskFields } from "./task-fields";
import { TemplateCards } from "./template-cards";
import { useDraft } from "./use-draft";
import { useSettled } from "./use-settled";

const route = getRouteApi("/new");
const PAUSE_MS = 500;
const NO_TASK: ProblemError = { pointer: "/prompt", message: "Say what is to be done.", candidates: null };

/** The form's data and what its buttons do. */
function useNewRun(templates: Template[]) {
  const form = useDraft(route.useSearch().template);
  const navigate = route.useNavigate();
  const create = useCreateRun();
  const [tried, setTried] = useState(false);
  const template = templates.find((item) => item.name === form.draft.template) ?? templates[0];
  const steps = template?.steps ?? [];
  const draft = { ...form.draft, template: template?.name ?? "" };
  const errors = fieldErrors(create.error);
  const missing = tried && draft.prompt.trim() === "" ? { prompt: NO_TASK } : {};
  const submit = () => {
    setTried(true);
    if (draft.prompt.trim() === "" || create.isPending) return;
    create.mutate(requestOf(draft, steps), {
      onSuccess: (run) => {
        dropDraft();
        navigate({ to: "/runs/$runId", params: { runId: String(run.id) } });
      },
    });
  };
  return {
    ...form,
    draft,
    template,
    steps,
    create,
    submit,
    rest: errors.rest,
    errors: { ...errors.fields, ...missing },
  };
}

type NewRun = ReturnType<typeof useNewRun>;

function Models({ run, template }: { run: NewRun; template: Template }) {
  const agents = useQuery(agentsOptions);
  const models = useQuery(modelsOptions(useSettled(run.draft.directory.trim(), PAUSE_MS)));
  return (
    <>
      <StepModels
        template={template}
        agents={agents.data ?? []}
        models={models.data}
        chosen={run.draft.models}
        errors={run.errors}
        onChoose={(chosen) => run.change({ models: chosen })}
      />
      {models.isError && (
        <Notice tone="wait">
          The list of models cannot be read now: {sentenceOf(models.error)} A name can be typed.
        </Notice>
      )}
    </>
  );
}

function Buttons({ run }: { run: NewRun }) {
  return (
    <>
      {run.rest && <Notice tone="bad">{run.rest}</Notice>}
      <div className="flex flex-wrap items-center justify-end gap-2.5">
        {run.restored && (
          <span className="mr-auto text-ink-2">
            Your draft was kept.{" "}
            <button type="button" className="btn-link" onClick={run.discard}>
              Discard it
            </button>
          </span>
        )}
        <CopyButton text={() => commandOf(run.draft, run.steps)}>Copy as CLI</CopyButton>
        <button type="submit" className="btn btn-primary" disabled={run.create.isPending}>
          {run.create.isPending ? "Starting …" : "Start"} <Key>Ctrl ↵</Key>
        </button>
      </div>
    </>
  );
}

function Form({ templates }: { templates: Template[] }) {
  const run = useNewRun(templates);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    run.submit();
  };
  return (
    <form className="mt-3.5 grid max-w-[860px] grid-cols-[minmax(0,1fr)] gap-4" onSubmit={submit} noValidate>
      <div>
        <TemplateCards
          templates={templates}
          chosen={run.draft.template}
          onChoose={(template) => run.change({ template })}
        />
        <FieldError error={run.errors.template} onTake={(template) => run.change({ template })} />
      </div>
      <TaskFields draft={run.draft} errors={run.errors} onChange={run.change} onSubmit={run.submit} />
      {run.template && <Models run={run} template={run.template} />}
      <Buttons run={run} />
    </form>
  );
}

export function NewRunPage() {
  useTitle("New run");
  const templates = useQuery(templatesOptions);
  return (
    <>
      <h1>New run</h1>
      <div className="mt-3 max-w-[860px] empty:hidden">
        <RegistryProblems />
      </div>
      {templates.isPending && <Loading what="the templates" />}
      {templates.isError && <Empty title={sentenceOf(templates.error)} />}
      {templates.data?.length === 0 && <Empty title="There is no template. Add one to pipelines.yaml." />}
      {templates.data && templates.data.length > 0 && <Form templates={templates.data} />}
    </>
  );
}
